//! Filling gaps: what a service lacks is built from what it has, once for all services.
//!
//! A gap is one row of [`gaps::GAPS`] and one function in a file of its own; [`Filled`] is the one
//! wrapper that applies them. It is a [`tramontane_connector::Storage`] itself, and gap functions
//! receive it, so that gaps compose: a move may become copy and delete, and that copy may become
//! read and create. On top stand the policies that the API speaks of (refuse, keep both, replace) and
//! transfers between accounts and services.

mod ancestry;
pub mod ceilings;
mod child;
mod claims;
mod copy;
mod copy_tree;
mod delete_tree;
mod digest;
pub mod filled;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod fuzz;
pub mod gaps;
mod hash;
mod lend;
mod links;
mod list_tree;
mod names;
pub mod policy;
pub mod progress;
mod range;
mod recent;
mod relocate;
mod search;
mod sessions;
pub mod spool;
mod thumbnail;
pub mod transfer;
mod upload;
mod walk;

pub use ceilings::Ceilings;
pub use filled::Filled;
pub use gaps::{GAPS, Gap, support, support_of};
pub use policy::{FolderPolicy, Placed, Policy, Skipped};
pub use progress::{Item, Progress, Quiet};
pub use spool::Spool;
pub use thumbnail::recoded;
pub use transfer::{Side, move_across, transfer};
