-- Delivery of events to webhooks: what signs them, what was tried, what is sent again.

-- Secrets of webhooks in the standard form. The current one has no end; one before it signs along for a while.
CREATE TABLE webhook_secrets (
    id TEXT NOT NULL PRIMARY KEY,
    webhook TEXT NOT NULL,
    sealed BYTEA NOT NULL,
    key_id TEXT NOT NULL REFERENCES data_keys (id),
    version BIGINT NOT NULL,
    created BIGINT NOT NULL,
    until BIGINT
);
CREATE INDEX webhook_secrets_webhook ON webhook_secrets (webhook, created);
CREATE INDEX webhook_secrets_key ON webhook_secrets (key_id);

-- The slices of the log of attempts: one per day, each a table of its own (delivery_log_N), so that
-- retention drops tables instead of deleting rows.
CREATE TABLE delivery_slices (
    id BIGINT NOT NULL PRIMARY KEY,
    created BIGINT NOT NULL
);

-- Ranges of events that are sent to a webhook once more.
CREATE TABLE delivery_replays (
    id TEXT NOT NULL PRIMARY KEY,
    webhook TEXT NOT NULL,
    -- What to send, a JSON object.
    request TEXT NOT NULL,
    -- pending, done, failed
    state TEXT NOT NULL,
    -- How far it is: the account and the last sequence number that was looked at.
    account BIGINT NOT NULL,
    sequence BIGINT NOT NULL,
    sent BIGINT NOT NULL,
    failed BIGINT NOT NULL,
    -- Counts the leases: the fence.
    epoch BIGINT NOT NULL,
    leased_until BIGINT NOT NULL,
    created BIGINT NOT NULL,
    modified BIGINT NOT NULL
);
CREATE INDEX delivery_replays_open ON delivery_replays (state, created);
CREATE INDEX delivery_replays_webhook ON delivery_replays (webhook, created);
