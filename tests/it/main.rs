//! The one integration binary: a module per subject.

mod bad_input;
mod cli;
mod clickhouse;
mod contract;
mod contract_clickhouse;
mod contract_delta;
mod contract_greenplum;
mod contract_kafka;
mod contract_memory;
mod contract_postgres;
mod contract_sqlite;
mod crash;
mod delta;
mod flights;
mod follow;
mod greenplum;
mod kafka;
mod postgres;
mod premier;
mod push_down;
mod refresh;
mod sqlite;
mod support;
mod tidy;
mod workbook;
