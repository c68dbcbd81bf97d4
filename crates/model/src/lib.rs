//! The words of Tramontane: ids, times, pages, operations and the catalogue of API problems. No IO.

pub mod capability;
pub mod content_hash;
#[cfg(test)]
mod fuzz;
pub mod id;
pub mod page;
pub mod problem;
pub mod time;

pub use capability::{Op, Ops, Reason, Support};
pub use id::{AccountId, Kind, NativeId, ResourceId};
pub use page::{Page, PageRequest};
pub use problem::Code;
pub use time::{Clock, SystemClock, Timestamp};
