//! Tasks over a real database.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod house;
mod leases;
mod life;
