//! One notice to one address. The address is a secret: no message has it.

use std::time::Duration;

use reqwest::{Client, Response, header::CONTENT_TYPE, redirect};
use secrecy::ExposeSecret;

use crate::{
    config::project::Project,
    connector::{
        error::{Error, ErrorKind, Result},
        secret,
    },
};

/// How long a receiver may take, from connecting to its answer.
const ANSWER: Duration = Duration::from_secs(10);
const CONNECT: Duration = Duration::from_secs(5);

/// What became of a notice.
#[derive(Debug)]
pub(super) enum Posted {
    /// It was taken.
    Taken,
    /// There is no address: a variable that is not set, a file that is not there.
    Unset(String),
    /// It was not taken; why, for people.
    Failed(String),
}

/// Posts notices.
#[derive(Clone)]
pub(super) struct Poster {
    client: Client,
}

impl Poster {
    /// Follows no redirects: the address is the one that was written down.
    pub(super) fn new() -> Result<Self> {
        let builder = Client::builder().timeout(ANSWER).connect_timeout(CONNECT);
        let builder = builder.redirect(redirect::Policy::none()).pool_max_idle_per_host(0);
        let builder = builder.user_agent(concat!("vitrina/", env!("CARGO_PKG_VERSION")));
        let client = builder.build().map_err(|error| {
            Error::new(ErrorKind::Internal, "webhooks cannot be posted to").caused_by(error.without_url())
        })?;
        Ok(Self { client })
    }

    /// Posts to a receiver of a project. Its address is read each time, so that one that was changed is found.
    pub(super) async fn post(&self, project: &Project, name: &str, body: &str) -> Posted {
        let Some(notify) = project.notify.get(name) else { return Posted::Unset("it is gone".to_owned()) };
        let what = format!("the webhook of [notify.{name}]");
        let address = match secret::read(&notify.webhook, &what, &project.root).await {
            Ok(address) => address,
            Err(error) if error.kind == ErrorKind::NotFound => return Posted::Unset(error.to_string()),
            Err(error) => return Posted::Failed(error.to_string()),
        };
        let request = self.client.post(address.expose_secret()).header(CONTENT_TYPE, "application/json");
        match request.body(body.to_owned()).send().await {
            Ok(answer) => judged(&answer),
            Err(error) => Posted::Failed(cause(error)),
        }
    }
}

fn judged(answer: &Response) -> Posted {
    match answer.status() {
        status if status.is_success() => Posted::Taken,
        status => Posted::Failed(format!("it answers {status}")),
    }
}

fn cause(error: reqwest::Error) -> String {
    let what = match &error {
        error if error.is_builder() => return "its address is no http or https URL".to_owned(),
        error if error.is_timeout() => "it does not answer in time",
        error if error.is_connect() => "it cannot be reached",
        _ => "it was not taken",
    };
    // The innermost cause says most; the address is in none of them.
    let error = error.without_url();
    let mut inner: &dyn std::error::Error = &error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    format!("{what}: {inner}")
}
