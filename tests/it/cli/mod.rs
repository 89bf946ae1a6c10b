//! The program as its users meet it: arguments in; stdout, stderr and an exit code out.

mod bot;
mod demo;
mod help;
mod locked;
mod moving;
mod project;
mod terminal;
mod testing;
mod users;
mod words;
mod wrong;

use crate::support::project::Sandbox;

/// A project that moves orders from a SQLite file into Delta tables.
fn shop() -> Sandbox {
    let shop = Sandbox::new(&[
        ("vitrina.toml", SHOP),
        ("pipelines/orders.toml", ORDERS),
        ("marts/по_городам.toml", BY_CITY),
        ("marts/отчёт.toml", REPORT),
    ]);
    shop.sqlite("shop.db", ROWS);
    shop
}

const SHOP: &str = r#"
[project]
name = "shop"

[connections.shop]
kind = "sqlite"
path = "shop.db"

[connections.warehouse]
kind = "delta"
path = "data/warehouse"
"#;

const ORDERS: &str = r#"
description = "Заказы"
tags = ["sales"]

[source]
connection = "shop"
table = "orders"
cursor = { column = "id" }
bad_rows = "dead_letter"

[source.columns]
id = "int64"
"Город" = "text"
amount = { type = "int64", nullable = true }

[sink]
connection = "warehouse"
table = "orders"
mode = "append"
"#;

const BY_CITY: &str = r#"
sql = """SELECT "Город", sum(amount) AS total FROM pipeline.orders GROUP BY "Город" """

[sink]
connection = "warehouse"
mode = "replace"
"#;

const REPORT: &str = r#"
excel = "data/отчёт.xlsx"

[[sheet]]
name = "По городам"
sql = """SELECT "Город", total FROM mart."по_городам" ORDER BY "Город" """
"#;

const ROWS: &str = r#"
CREATE TABLE orders (id INTEGER PRIMARY KEY AUTOINCREMENT, "Город" TEXT, amount);
INSERT INTO orders ("Город", amount) VALUES ('Москва', 5), ('Омск', 7), ('Москва', 'много'), ('Омск', 1);
"#;
