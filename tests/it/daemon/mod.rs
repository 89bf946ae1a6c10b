//! `serve`: a project by itself, from the outside.

mod bot;
mod firing;
mod health;
mod moving;
mod notify;
mod rebuild;
mod reload;
mod serving;
mod socket;
mod stopping;
