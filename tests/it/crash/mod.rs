//! What is left when the process dies: the built program is killed at every commit boundary and at random moments while a
//! writer goes on adding rows, then run again. Every row of the source must then be in the target once, every bad row
//! among the dead letters once, and what is built from the target must agree with it.

mod kills;
pub(crate) mod points;
mod site;
mod syncs;
