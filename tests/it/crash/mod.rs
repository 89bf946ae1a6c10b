//! What is left when a run is disturbed: the built program is killed at every commit boundary, and at random moments it is killed, or its servers and its
//! network fail, while a writer goes on adding rows; then it is run again. Every row of the source must then be in the target once, every bad row
//! among the dead letters once, and what is built from the target must agree with it.

mod chaos;
mod faults;
mod places;
pub(crate) mod points;
mod site;
mod syncs;
mod windows;
