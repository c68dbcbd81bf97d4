-- What stays of feeds when the days that it happened on leave the log: their newest events, sealed by feed.
CREATE TABLE log_kept (
    feed BIGINT NOT NULL,
    -- The first sequence number in it, and how many follow each other.
    sequence BIGINT NOT NULL,
    events BIGINT NOT NULL,
    -- When the newest of it was committed.
    at BIGINT NOT NULL,
    body BYTEA NOT NULL,
    PRIMARY KEY (feed, sequence)
);
