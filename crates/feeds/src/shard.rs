//! Which shard of the log an account writes to.

pub use tramontane_store::shards::{SHARDS, of};
