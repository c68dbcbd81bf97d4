//! Tests of the running feed, on both engines.

mod elsewhere;
mod following;
mod delivering;
mod house;
mod reading;
mod stage;
