//! What tests of several crates share: a service in memory, and what a call is lent in tests.

pub mod lent;
pub mod memory;

pub use lent::{Offline, account, context};
pub use memory::Memory;
