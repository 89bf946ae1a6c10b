//! Rows, specifications and answers that several subjects make the same way.

pub(crate) mod bucket;
pub(crate) mod clickhouse;
pub(crate) mod kafka;
pub(crate) mod line;
pub(crate) mod own;
pub(crate) mod postgres;
pub(crate) mod process;
pub(crate) mod project;
pub(crate) mod proxy;
pub(crate) mod registry;
pub(crate) mod rows;
pub(crate) mod specs;
pub(crate) mod sql;
