//! Rows, specifications and answers that several subjects make the same way.

pub(crate) mod kafka;
pub(crate) mod postgres;
pub(crate) mod project;
pub(crate) mod rows;
pub(crate) mod specs;
pub(crate) mod sql;
