//! The one integration binary: a module per subject.

mod cli;
mod contract;
mod contract_memory;
mod contract_sqlite;
mod sqlite;
mod support;
mod tidy;
mod workbook;
