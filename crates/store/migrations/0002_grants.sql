-- Refreshing of OAuth grants: who may refresh an account's tokens now, what was begun, when to look again.
CREATE TABLE grants (
    account BIGINT NOT NULL PRIMARY KEY REFERENCES accounts (id),
    epoch BIGINT NOT NULL,
    lease_owner TEXT,
    leased_until BIGINT NOT NULL,
    token_hash TEXT,
    intent BIGINT,
    attempts BIGINT NOT NULL,
    not_before BIGINT NOT NULL,
    refreshed BIGINT,
    noted BIGINT,
    due BIGINT
);
CREATE INDEX grants_due ON grants (due) WHERE due IS NOT NULL;

-- Refreshes count the account's revision, which guards every change of the row. Connections and gates
-- shall outlive them, so what connectors see is the revision without the refreshes.
ALTER TABLE credentials ADD COLUMN renewals BIGINT NOT NULL DEFAULT 0;
