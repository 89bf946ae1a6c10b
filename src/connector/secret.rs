//! What is in a secret: read once, when its connection is opened, and kept where nothing prints it.

use std::{path::Path, process::Stdio, time::Duration};

use secrecy::SecretString;
use tokio::{io::AsyncReadExt, process::Command};

use super::error::{Error, ErrorKind, Result};
use crate::model::secret::Secret;

/// Bytes that a secret may have.
const MOST_BYTES: u64 = 64 << 10;
/// How long a program may take to print one.
const PATIENCE: Duration = Duration::from_secs(30);

/// Reads a secret. `what` names it in messages: ``the password of connection `dwh` ``. Paths and programs begin in `root`.
pub async fn read(secret: &Secret, what: &str, root: &Path) -> Result<SecretString> {
    let text = match secret {
        Secret::Literal(text) => return Ok(text.clone().into()),
        Secret::Env { name, default } => match (std::env::var_os(name), default) {
            (Some(text), _) => text.into_encoded_bytes(),
            (None, Some(default)) => return Ok(default.clone().into()),
            (None, None) => {
                let message = format!("{what}: environment variable `{name}` is not set");
                return Err(Error::new(ErrorKind::NotFound, message).hint("set it, or give a `default`"));
            }
        },
        Secret::File(file) => of_file(&root.join(file), what).await?,
        Secret::Command(command) => of_command(command, what, root).await?,
    };
    let wrong = |why: &str| {
        Error::new(ErrorKind::BadData, format!("{what} {why}")).hint("put it where it is read from")
    };
    let text = String::from_utf8(text).map_err(|_| wrong("is not UTF-8"))?;
    match text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line)) {
        "" => Err(wrong("is empty")),
        line => Ok(line.to_owned().into()),
    }
}

async fn of_file(path: &Path, what: &str) -> Result<Vec<u8>> {
    let failed = |error: std::io::Error| {
        let message = format!("{what}: cannot read `{}`", path.display());
        Error::new(ErrorKind::of_io(&error), message).caused_by(error)
    };
    let mut text = vec![];
    let file = tokio::fs::File::open(path).await.map_err(failed)?;
    file.take(MOST_BYTES + 1).read_to_end(&mut text).await.map_err(failed)?;
    within_limit(text, what)
}

/// What a program prints. Neither that nor its arguments are ever told; what it says on its standard error is thrown away.
async fn of_command(command: &[String], what: &str, root: &Path) -> Result<Vec<u8>> {
    let Some((program, arguments)) = command.split_first() else {
        return Err(Error::new(ErrorKind::NotFound, format!("{what}: `command` names no program")));
    };
    let failed = |error: std::io::Error| {
        let message = format!("{what}: cannot run `{program}`");
        Error::new(ErrorKind::of_io(&error), message).caused_by(error)
    };
    let mut child = Command::new(program)
        .args(arguments)
        .current_dir(root)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)?;
    let printed = child.stdout.take();
    let answer = async {
        let mut text = vec![];
        if let Some(printed) = printed {
            printed.take(MOST_BYTES + 1).read_to_end(&mut text).await?;
        }
        child.wait().await.map(|status| (text, status))
    };
    let Ok(answer) = tokio::time::timeout(PATIENCE, answer).await else {
        let message = format!("{what}: `{program}` did not end in {} s", PATIENCE.as_secs());
        return Err(Error::new(ErrorKind::Timeout, message));
    };
    let (text, status) = answer.map_err(failed)?;
    let text = within_limit(text, what)?;
    if !status.success() {
        let message = format!("{what}: `{program}` failed: {status}");
        return Err(Error::new(ErrorKind::Denied, message).hint("run the command by hand to see why"));
    }
    Ok(text)
}

fn within_limit(text: Vec<u8>, what: &str) -> Result<Vec<u8>> {
    if text.len() as u64 > MOST_BYTES {
        let message = format!("{what} is longer than {MOST_BYTES} bytes");
        return Err(
            Error::new(ErrorKind::Limit, message).hint("name the file or program that holds it alone")
        );
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    /// What is read, or the error as a user sees it.
    async fn told(secret: &Secret, root: &Path) -> String {
        match read(secret, "the password of connection `dwh`", root).await {
            Ok(text) => {
                assert!(!format!("{text:?}").contains(text.expose_secret()));
                text.expose_secret().to_owned()
            }
            Err(error) => error.to_string(),
        }
    }

    fn command(parts: &[&str]) -> Secret {
        Secret::Command(parts.iter().map(|part| (*part).to_owned()).collect())
    }

    #[tokio::test]
    async fn variables() {
        let unset = |default: Option<&str>| Secret::Env {
            name: "VITRINA_TEST_NEVER_SET".to_owned(),
            default: default.map(str::to_owned),
        };
        assert_eq!(
            told(&unset(None), Path::new("")).await,
            "the password of connection `dwh`: environment variable `VITRINA_TEST_NEVER_SET` is not set"
        );
        assert_eq!(told(&unset(Some("dev")), Path::new("")).await, "dev");
        let set = Secret::Env { name: "CARGO_PKG_NAME".to_owned(), default: None };
        assert_eq!(told(&set, Path::new("")).await, env!("CARGO_PKG_NAME"));
    }

    #[tokio::test]
    async fn files() {
        let folder = tempfile::tempdir().unwrap();
        let file = Secret::File("password".to_owned());
        let write = |text: &[u8]| std::fs::write(folder.path().join("password"), text).unwrap();
        let missing = told(&file, folder.path()).await;
        assert!(missing.starts_with("the password of connection `dwh`: cannot read `"), "{missing}");
        write(b"a b \r\n");
        assert_eq!(told(&file, folder.path()).await, "a b ");
        write(b"two\n\n");
        assert_eq!(told(&file, folder.path()).await, "two\n");
        write(b"\n");
        assert_eq!(told(&file, folder.path()).await, "the password of connection `dwh` is empty");
        write(b"hidden\xff");
        assert_eq!(told(&file, folder.path()).await, "the password of connection `dwh` is not UTF-8");
        write(&vec![b'x'; 1 << 17]);
        assert_eq!(
            told(&file, folder.path()).await,
            "the password of connection `dwh` is longer than 65536 bytes"
        );
    }

    #[tokio::test]
    async fn commands() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("here"), "from the folder\n").unwrap();
        assert_eq!(told(&command(&["cat", "here"]), folder.path()).await, "from the folder");
        assert_eq!(
            told(&command(&["sh", "-c", "echo hidden; echo hidden >&2; exit 3"]), folder.path()).await,
            "the password of connection `dwh`: `sh` failed: exit status: 3"
        );
        let missing = told(&command(&["no-such-program"]), folder.path()).await;
        assert!(
            missing.starts_with("the password of connection `dwh`: cannot run `no-such-program`"),
            "{missing}"
        );
        assert_eq!(
            told(&command(&["yes"]), folder.path()).await,
            "the password of connection `dwh` is longer than 65536 bytes"
        );
    }
}
