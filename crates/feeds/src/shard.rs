//! Which shard of the log an account writes to.

/// How many shards there are. One process may own all of them, or 64 processes one each. It never
/// changes: an account stays in its shard.
pub const SHARDS: i64 = 64;

/// The shard of an account.
#[must_use]
pub fn of(account: i64) -> i64 {
    // Account ids are drawn at random, so their remainder spreads them evenly.
    account.rem_euclid(SHARDS)
}
