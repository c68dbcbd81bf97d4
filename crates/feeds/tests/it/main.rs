//! Tests of the running feed, on both engines.

mod house;
mod reading;
