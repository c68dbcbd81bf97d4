//! Runs the core of the change feed over simulated services, storage and faults, in virtual time, from a
//! seed. The same seed gives the same run, so that a failure can be replayed. Tests only.
//!
//! What is checked, in every run: the events replayed over what was there at first give exactly what the
//! service holds in the end; every event can be applied where it stands, and changes something; a writer that lost
//! its shard writes nothing; what is remembered is what is there.
#![expect(
    clippy::indexing_slicing,
    clippy::expect_used,
    clippy::panic,
    reason = "a simulation that goes wrong must stop and say where"
)]

pub mod by_id;
pub mod by_path;
pub mod mirror;
pub mod run;
pub mod scenes;
pub mod storage;
pub mod swept;
pub mod truth;

pub use run::{Figures, run};
