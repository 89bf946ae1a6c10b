//! What is left when a run is disturbed: the built program is killed at every commit boundary, and at random moments it is killed, or its servers and its
//! network fail, while a writer goes on adding rows; then it is run again. Every row of the source must then be in the target once, every bad row
//! among the dead letters once, and what is built from the target must agree with it.

use std::{
    io::{self, Write},
    time::Instant,
};

mod chaos;
mod faults;
mod made_up;
mod places;
pub(crate) mod points;
mod site;
mod syncs;
mod windows;

/// Says how long something long took when it ends, to the terminal itself: what a test prints is kept from it.
struct Took {
    what: &'static str,
    begun: Instant,
}

impl Took {
    fn new(what: &'static str) -> Self {
        Self { what, begun: Instant::now() }
    }
}

impl Drop for Took {
    fn drop(&mut self) {
        let _ = writeln!(io::stderr(), "{}: {} s", self.what, self.begun.elapsed().as_secs());
    }
}
