-- Connecting accounts: what the connect page is in the middle of, authorization codes, and our own
-- refresh tokens. Codes, tokens, states and keys of browsers are kept as hashes alone.

CREATE TABLE connect_sessions (
    id TEXT NOT NULL PRIMARY KEY,
    application TEXT NOT NULL REFERENCES applications (id),
    request TEXT NOT NULL,
    browser TEXT,
    step TEXT NOT NULL,
    detail TEXT NOT NULL,
    service_state TEXT,
    version BIGINT NOT NULL,
    created BIGINT NOT NULL,
    modified BIGINT NOT NULL,
    expires BIGINT NOT NULL
);
CREATE UNIQUE INDEX connect_sessions_state ON connect_sessions (service_state)
    WHERE service_state IS NOT NULL;
CREATE INDEX connect_sessions_application ON connect_sessions (application, expires);
CREATE INDEX connect_sessions_expires ON connect_sessions (expires);

CREATE TABLE authorization_codes (
    hash TEXT NOT NULL PRIMARY KEY,
    application TEXT NOT NULL REFERENCES applications (id),
    account BIGINT NOT NULL REFERENCES accounts (id),
    family TEXT NOT NULL,
    redirect_uri TEXT,
    challenge TEXT,
    scope TEXT NOT NULL,
    access TEXT,
    used BIGINT,
    created BIGINT NOT NULL,
    expires BIGINT NOT NULL
);
CREATE INDEX authorization_codes_account ON authorization_codes (account);
CREATE INDEX authorization_codes_expires ON authorization_codes (expires);

-- Tokens that one authorization gave are one family: reuse of its code or of a spent refresh token
-- ends all of it.
CREATE TABLE refresh_tokens (
    hash TEXT NOT NULL PRIMARY KEY,
    application TEXT NOT NULL REFERENCES applications (id),
    account BIGINT NOT NULL REFERENCES accounts (id),
    family TEXT NOT NULL,
    public_client BIGINT NOT NULL,
    scope TEXT NOT NULL,
    access TEXT,
    spent BIGINT,
    successor TEXT,
    created BIGINT NOT NULL,
    expires BIGINT NOT NULL
);
CREATE INDEX refresh_tokens_family ON refresh_tokens (family);
CREATE INDEX refresh_tokens_account ON refresh_tokens (account);
CREATE INDEX refresh_tokens_expires ON refresh_tokens (expires);

ALTER TABLE account_tokens ADD COLUMN family TEXT;
CREATE INDEX account_tokens_family ON account_tokens (family) WHERE family IS NOT NULL;
