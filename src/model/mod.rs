//! The words of the domain as types: names, positions, units, records, values, time.
//! No I/O. Invariant: imports nothing of ours from outside `model`.

pub mod column;
pub mod delivery;
pub mod iso;
pub mod name;
pub mod position;
pub mod problem;
pub mod secret;
pub mod text_rows;
pub mod time;
pub mod trouble;
pub mod unit;
pub mod value;
pub mod window;
