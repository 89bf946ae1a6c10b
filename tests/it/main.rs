//! The one integration binary: a module per subject.

mod cli;
mod contract;
mod contract_memory;
mod support;
mod tidy;
mod workbook;
