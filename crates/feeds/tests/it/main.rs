//! Tests of the running feed, on both engines.

mod elsewhere;
mod following;
mod house;
mod reading;
