//! A pipeline run and a mart run, told as one story each.

pub mod event;
