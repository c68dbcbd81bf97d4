-- The activity feeds: who writes them, what is followed, what is known of it, and the log.

-- One writer per shard. The epoch is the fence: it counts the leases, and every commit names it.
CREATE TABLE shards (
    id BIGINT NOT NULL PRIMARY KEY,
    epoch BIGINT NOT NULL,
    owner TEXT,
    leased_until BIGINT NOT NULL,
    -- The last position given out; positions of a shard have no gaps.
    head BIGINT NOT NULL,
    -- The slice of the log that was written last: time going backwards must not reorder the log.
    slice BIGINT NOT NULL
);

-- One row per account whose changes are followed.
CREATE TABLE feeds (
    account BIGINT NOT NULL PRIMARY KEY REFERENCES accounts (id),
    shard BIGINT NOT NULL,
    -- following, stopped
    state TEXT NOT NULL,
    -- Why it is stopped, or what is wrong with it, for people.
    reason TEXT,
    -- What polling has learnt; written only when something else is.
    schedule BYTEA,
    -- When the source was last read with success.
    synced BIGINT,
    created BIGINT NOT NULL,
    modified BIGINT NOT NULL
);
CREATE INDEX feeds_shard ON feeds (shard, account);
CREATE INDEX feeds_modified ON feeds (modified);

-- What is watched in an account. Each has a sequence of its own; `feed` is its number in the log: the
-- account's id for the default one.
CREATE TABLE subscriptions (
    id TEXT NOT NULL PRIMARY KEY,
    account BIGINT NOT NULL REFERENCES accounts (id),
    feed BIGINT NOT NULL UNIQUE,
    is_default BIGINT NOT NULL,
    active BIGINT NOT NULL,
    settings TEXT NOT NULL,
    -- The last sequence number given out; they start at 1 and have no gaps.
    head BIGINT NOT NULL,
    created BIGINT NOT NULL,
    modified BIGINT NOT NULL,
    deleted BIGINT
);
CREATE INDEX subscriptions_account ON subscriptions (account, created);

-- A part of an account that is followed with a cursor of its own, and the state that is known of it.
CREATE TABLE collections (
    account BIGINT NOT NULL REFERENCES accounts (id),
    id TEXT NOT NULL,
    root TEXT NOT NULL,
    generation BIGINT NOT NULL,
    -- The service's cursor; none while the first listing goes on or where there is none.
    cursor TEXT,
    -- The manifest of the blocks of this generation.
    manifest BYTEA NOT NULL,
    -- What the core carries from step to step: how far a listing is, what waits for the end of a run.
    progress BYTEA NOT NULL,
    modified BIGINT NOT NULL,
    PRIMARY KEY (account, id)
);
-- Blocks of state, named by the hash of their content.
CREATE TABLE state_blocks (
    account BIGINT NOT NULL,
    collection TEXT NOT NULL,
    id TEXT NOT NULL,
    data BYTEA NOT NULL,
    PRIMARY KEY (account, collection, id)
);
-- Changes over the blocks since they were made, in order.
CREATE TABLE state_changes (
    account BIGINT NOT NULL,
    collection TEXT NOT NULL,
    number BIGINT NOT NULL,
    data BYTEA NOT NULL,
    PRIMARY KEY (account, collection, number)
);

-- Channels through which services push.
CREATE TABLE channels (
    id TEXT NOT NULL PRIMARY KEY,
    account BIGINT NOT NULL REFERENCES accounts (id),
    collection TEXT NOT NULL,
    -- asked, live, old
    state TEXT NOT NULL,
    native TEXT,
    resource TEXT,
    -- The hash of what the service shows in each push.
    token_hash TEXT NOT NULL,
    expires BIGINT,
    created BIGINT NOT NULL
);
CREATE INDEX channels_account ON channels (account, collection);

-- A push may name nobody but the user.
CREATE INDEX accounts_user ON accounts (service, identity) WHERE deleted IS NULL;

-- The slices of the log: one per day, each with tables of its own (log_rows_N, log_blocks_N, log_index_N),
-- so that retention drops tables instead of deleting rows.
CREATE TABLE log_slices (
    id BIGINT NOT NULL PRIMARY KEY,
    created BIGINT NOT NULL
);
-- Where a feed begins in a slice: its first sequence number there.
CREATE TABLE log_feeds (
    feed BIGINT NOT NULL,
    slice BIGINT NOT NULL,
    sequence BIGINT NOT NULL,
    PRIMARY KEY (feed, slice)
);
CREATE INDEX log_feeds_slice ON log_feeds (slice);
-- Where a shard begins in a slice: its first position there.
CREATE TABLE log_shards (
    shard BIGINT NOT NULL,
    slice BIGINT NOT NULL,
    position BIGINT NOT NULL,
    PRIMARY KEY (shard, slice)
);

-- How far an endpoint has read a shard of the log, and the streams that wait.
CREATE TABLE delivery_positions (
    webhook TEXT NOT NULL,
    shard BIGINT NOT NULL,
    position BIGINT NOT NULL,
    parked BYTEA NOT NULL,
    modified BIGINT NOT NULL,
    PRIMARY KEY (webhook, shard)
);
