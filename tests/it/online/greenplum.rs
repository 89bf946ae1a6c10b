//! Rights that gpfdist asks for besides those of the tables, of a server that says that it is a Greenplum.

use super::{
    mends, missing,
    postgres::{Clerk, project},
    tested, told,
};
use crate::{
    greenplum::sent::Tapped,
    support::{
        postgres::{quote, setting},
        project::Sandbox,
    },
};

const LOADED: &str = "[source]\nconnection = \"pg\"\ntable = \"src\"\ncursor = { column = \"id\" }\n[source.columns]\nid = \"int64\"\n\
                      [sink]\nconnection = \"pg\"\ntable = \"o\"\nmode = \"append\"\ngreenplum.load = \"gpfdist\"\n";
const UNLOADED: &str = "[source]\nconnection = \"pg\"\ntable = \"src\"\ngreenplum.unload = \"gpfdist\"\n[source.columns]\nid = \"int64\"\n\
                        [sink]\nconnection = \"pg\"\ntable = \"o2\"\nmode = \"replace\"\n";

/// What is missing, what `check --online` says of each pipeline, and that what mends it does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_gpfdist_needs_is_told() {
    let (tapped, clerk) = (Tapped::greenplum().await, Clerk::new().await);
    let place = &tapped.server.place;
    let (name, schema) = (quote(&clerk.name), quote(&place.schema));
    place
        .run(&format!(
            "CREATE TABLE src (id bigint); CREATE TABLE o (id bigint); CREATE TABLE o2 (id bigint); \
             CREATE TABLE _vitrina_records (track text); \
             GRANT USAGE ON SCHEMA {schema} TO {name}; GRANT ALL ON ALL TABLES IN SCHEMA {schema} TO {name}"
        ))
        .await;
    let vitrina = project(place, &clerk.name, "greenplum")
        .replace(&format!("port = {}\n", setting("PORT")), &format!("port = {}\n", tapped.port))
        + "gpfdist = { host = \"localhost\", port = 8080 }\n";
    let here = Sandbox::new(&[("vitrina.toml", &vitrina)]);
    // By COPY, nothing is missing.
    here.write("pipelines/a.toml", &LOADED.replace("\"gpfdist\"", "\"copy\""));
    let by_copy = tested(&here, "pg", 0);
    assert_eq!(missing(&by_copy), Vec::<&str>::new(), "{by_copy:#}");

    for (pipeline, kind, line, played) in
        [(LOADED, "readable", 9, "CREATEDB"), (UNLOADED, "writable", 3, "CREATEROLE")]
    {
        here.write("pipelines/a.toml", pipeline);
        let before = tested(&here, "pg", 1);
        let role = format!("CREATEEXTTABLE (type = '{kind}', protocol = 'gpfdist')");
        assert_eq!(missing(&before), [format!("CREATE on SCHEMA {schema}"), role.clone()], "{before:#}");
        assert_eq!(mends(&before)[1], format!("ALTER ROLE {name} {role}"));
        let problems = told(&here, "live-right");
        for says in [format!("lacks CREATE on SCHEMA {schema}"), format!("lacks {role} (ALTER ROLE {name} ")]
        {
            let there = |(path, at, told): &(String, u64, String)| {
                path == "pipelines/a.toml" && *at == line && told.starts_with("error") && told.contains(&says)
            };
            assert!(problems.iter().any(there), "{says}: {problems:#?}");
        }
        assert_eq!(problems.len(), 2, "{problems:#?}");

        clerk.admin.batch_execute(&mends(&before)[0]).await.unwrap();
        // As the tap plays that right.
        clerk.admin.batch_execute(&format!("ALTER ROLE {name} {played}")).await.unwrap();
        let after = tested(&here, "pg", 0);
        assert_eq!(missing(&after), Vec::<&str>::new(), "{after:#}");
        assert!(after["held"].as_array().unwrap().contains(&role.as_str().into()), "{after:#}");
        let revoke = format!("REVOKE CREATE ON SCHEMA {schema} FROM {name}");
        clerk.admin.batch_execute(&revoke).await.unwrap();
    }
    clerk.gone().await;
}
