//! Excel workbooks from Arrow batches. A leaf: knows nothing of projects, runs and connections.

pub mod spec;
