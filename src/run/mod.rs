//! A pipeline run and a mart run, told as one story each.

pub mod event;
mod fit;
mod judge;
mod reader;
mod retry;
