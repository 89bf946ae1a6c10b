//! `users`: who may use the bot.

use crate::support::project::Sandbox;

const PROJECT: (&str, &str) =
    ("vitrina.toml", "[project]\nname = \"t\"\n[matrix.region]\nmrf1 = { title = \"Центр\" }\n");
const BOT: (&str, &str) = (
    "bot.toml",
    "[access]\nadmins = [1]\n[user.region]\nfrom = \"matrix.region\"\n[roles.regional]\ntitle = \"Регион\"\n\
     [report.one]\ntitle = \"Один\"\nroles = [\"regional\"]\nsql = \"SELECT 1 AS one\"\n",
);

#[test]
fn rights_are_given_taken_and_written_down() {
    let here = Sandbox::new(&[PROJECT, BOT]);
    let granted = here
        .vitrina(&["users", "grant", "7", "regional", "--attribute", "region=mrf1", "--until", "2030-12-31"])
        .done();
    here.vitrina(&["users", "grant", "7", "regional", "--zone", "Asia/Omsk"]).done();
    assert!(granted.stderr.contains("member, regional until 2031-01-01 00:00"), "{}", granted.stderr);
    let listed = here.vitrina(&["users", "list", "regional"]).done().stdout;
    assert!(listed.contains("region=mrf1"), "{listed}");
    let csv = here.vitrina(&["users", "export"]).done().stdout;
    assert!(csv.contains("Asia/Omsk"), "{csv}");
    std::fs::write(here.path("users.csv"), &csv).unwrap();
    here.vitrina(&["users", "revoke", "7"]).done();
    assert!(here.vitrina(&["users", "list"]).done().stdout.contains("seen"));
    here.vitrina(&["users", "import", "users.csv"]).done();
    assert_eq!(here.vitrina(&["users", "export"]).done().stdout, csv);
    here.vitrina(&["users", "block", "7"]).done();
    let history = here.vitrina(&["users", "history", "7"]).done().stdout;
    for act in ["grant", "revoke", "import", "block", "command line"] {
        assert!(history.contains(act), "{history}");
    }
    let all = here.vitrina(&["users", "history", "--limit", "2"]).done();
    assert!(all.stdout.contains("block") && !all.stdout.contains("revoke"), "{all:?}");
    assert!(all.stderr.contains("--limit shows more than 2"), "{all:?}");
    let exports = here.vitrina(&["users", "history"]).done();
    assert!(exports.stdout.contains("export") && exports.stderr.is_empty(), "{exports:?}");
    assert!(here.vitrina(&["users", "history", "8"]).done().stderr.contains("nothing was done yet"));
}

#[test]
fn what_the_bot_does_not_know_is_refused_and_changes_nobody() {
    let here = Sandbox::new(&[PROJECT, BOT]);
    for (wrong, said) in [
        (&["users", "grant", "7", "regionl"][..], "did you mean `regional`"),
        (&["users", "grant", "7", "regional", "--attribute", "region=mrf9"][..], "`mrf9` is no value"),
        (&["users", "grant", "7", "regional", "--attribute", "city=x"][..], "there is no attribute `city`"),
        (&["users", "grant", "7", "regional", "--zone", "Mars"][..], "'Mars' for '--zone <ZONE>'"),
        (&["users", "revoke", "7"][..], "nobody has the id 7"),
    ] {
        let refused = here.vitrina(wrong).ended(2);
        assert!(refused.stderr.contains(said), "{}", refused.stderr);
    }
    std::fs::write(here.path("users.csv"), "id,roles\n7,regional\n8,boss\n").unwrap();
    assert!(here.vitrina(&["users", "import", "users.csv"]).ended(2).stderr.contains("boss"));
    assert!(here.vitrina(&["users", "list"]).done().stderr.contains("nobody"));
}
