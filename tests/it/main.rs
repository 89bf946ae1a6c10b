//! The one integration binary: a module per subject.

mod contract;
mod contract_memory;
mod support;
mod cli;
mod tidy;
