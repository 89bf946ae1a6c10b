//! Names that mean nothing, or two things; circles.

use insta::assert_snapshot;

use super::{BASE, ORDERS, drawn, lines, mart, pipeline};

#[test]
fn unknown_names() {
    assert_snapshot!(pipeline(
        &ORDERS
            .replace(
                "[source]\n",
                "matrix = { region = [\"mrf1\", \"mrf9\"], regoin = [\"x\"] }\nschedule = { after = [\"ordrs\"] }\nprofiles = [\"prod\"]\n[source]\n"
            )
            .replace("connection = \"shop\"", "connection = \"crm_{region}\"\nschema = \"action\"")
            .replace("connection = \"warehouse\"", "connection = \"ware_house\"")
    ));
}

#[test]
fn a_matrix_with_one_wrong_letter_is_one_problem() {
    let text = ORDERS
        .replace("[source]\n", "matrix = [\"regoin\"]\n[source]\n")
        .replace("connection = \"shop\"", "connection = \"crm_{region}\"\nschema = \"actions\"");
    let found = lines(&[("vitrina.toml", BASE), ("pipelines/p.toml", &text)]);
    assert!(found.len() == 1 && found[0].contains("[unknown-matrix]"), "{found:#?}");
}

#[test]
fn schemas() {
    let text = ORDERS.replace("[source]\n", "matrix = [\"region\"]\n[source]\n");
    assert_snapshot!(pipeline(
        &text
            .replace("connection = \"shop\"", "connection = \"crm_{region}\"")
            .replace("connection = \"warehouse\"", "connection = \"warehouse\"\nschema = \"main\"")
    ));
}

#[test]
fn braces() {
    assert_snapshot!(pipeline(
        &ORDERS
            .replace("table = \"orders\"\ncursor", "table = \"orders_{region}\"\ncursor")
            .replace("table = \"orders\"\nmode", "table = 'заказы_{regon}_{x'\nmode")
    ));
    assert_snapshot!(pipeline(
        &ORDERS
            .replace("[source]\n", "matrix = [\"region\"]\n[source]\n")
            .replace("table = \"orders\"\nmode", "table = \"\\\"заказы\\\"_{region.titel}\"\nmode")
    ));
}

#[test]
fn an_unused_matrix() {
    assert_snapshot!(pipeline(&format!("matrix = [\"region\"]\n{ORDERS}")));
}

#[test]
fn reserved_tables() {
    assert_snapshot!(pipeline(
        &ORDERS.replace("table = \"orders\"\nmode", "table = \"_vitrina_columns\"\nmode")
    ));
}

#[test]
fn two_of_one_name() {
    assert_snapshot!(drawn(&[
        ("vitrina.toml", BASE),
        (
            "pipelines/a.toml",
            &format!("matrix = [\"region\"]\n{}", ORDERS.replace("\"orders\"\nmode", "\"a_{region}\"\nmode"))
        ),
        ("pipelines/a/mrf1.toml", &ORDERS.replace("\"orders\"\nmode", "\"b\"\nmode")),
        ("marts/a.toml", "sql = \"SELECT 1 AS x\"\n[sink]\nconnection = \"shop\"\ntable = \"c\""),
        ("marts/the mart.toml", ""),
    ]));
}

#[test]
fn two_writers_of_one_table() {
    assert_snapshot!(drawn(&[
        ("vitrina.toml", BASE),
        ("pipelines/a.toml", ORDERS),
        ("pipelines/b.toml", ORDERS),
        ("marts/orders.toml", "sql = \"SELECT 1 AS x\"\n[sink]\nconnection = \"warehouse\""),
    ]));
}

#[test]
fn circles() {
    let step = |from: &str, to: &str| {
        ORDERS
            .replace("\"shop\"", "\"warehouse\"")
            .replace("\"orders\"\ncursor", &format!("\"{from}\"\ncursor"))
            .replace("\"orders\"\nmode", &format!("\"{to}\"\nmode"))
    };
    assert_snapshot!(drawn(&[
        ("vitrina.toml", BASE),
        ("pipelines/a.toml", &step("t1", "t2")),
        ("pipelines/b.toml", &step("t2", "t3")),
        ("pipelines/c.toml", &step("t4", "t5")),
        (
            "marts/d.toml",
            "sql = \"SELECT * FROM pipeline.b\"\n[sink]\nconnection = \"warehouse\"\ntable = \"t1\""
        ),
        (
            "marts/e.toml",
            "schedule = { after = [\"e\"] }\nsql = \"SELECT 1 AS x\"\n[sink]\nconnection = \"warehouse\""
        ),
    ]));
}

#[test]
fn after_nothing() {
    assert_snapshot!(mart(
        "schedule = { after = \"inputs\" }\nsql = \"SELECT * FROM shop.clients\"\n[sink]\nconnection = \"warehouse\""
    ));
}
