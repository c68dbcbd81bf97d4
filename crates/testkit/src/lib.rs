//! What tests of several crates share: the behaviour suite, masks, a proxy that spoils exchanges, a service
//! in memory, and what a call is lent in tests.

pub mod conformance;
pub mod faulty;
pub mod lent;
pub mod masked;
pub mod memory;
pub mod mirror;
pub mod prove;

pub use lent::{Offline, account, context};
pub use memory::Memory;
pub use mirror::Mirror;
