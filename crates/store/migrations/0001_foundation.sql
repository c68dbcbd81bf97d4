-- The first tables. Columns are TEXT, BIGINT and BYTEA alone, which SQLite and PostgreSQL share.
-- Times are microseconds since 1970 in UTC; booleans are 0 or 1; JSON is TEXT.

CREATE TABLE data_keys (
    id TEXT NOT NULL PRIMARY KEY,
    wrapped BYTEA NOT NULL,
    master TEXT NOT NULL,
    active BIGINT NOT NULL,
    created BIGINT NOT NULL,
    retired BIGINT
);
CREATE UNIQUE INDEX data_keys_one_active ON data_keys (active) WHERE active = 1;

CREATE TABLE developers (
    id BIGINT NOT NULL PRIMARY KEY,
    email TEXT NOT NULL UNIQUE,
    first_name TEXT NOT NULL,
    last_name TEXT NOT NULL,
    created BIGINT NOT NULL,
    modified BIGINT NOT NULL
);

CREATE TABLE meta_tokens (
    id TEXT NOT NULL PRIMARY KEY,
    developer BIGINT NOT NULL REFERENCES developers (id),
    hash TEXT NOT NULL UNIQUE,
    label TEXT NOT NULL,
    created BIGINT NOT NULL,
    expires BIGINT,
    revoked BIGINT
);

CREATE TABLE applications (
    id TEXT NOT NULL PRIMARY KEY,
    developer BIGINT NOT NULL REFERENCES developers (id),
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    logo_url TEXT,
    active BIGINT NOT NULL,
    implicit_grant_enabled BIGINT NOT NULL,
    recent_enabled BIGINT NOT NULL,
    events_enabled BIGINT NOT NULL,
    keys_show_once BIGINT NOT NULL,
    source TEXT,
    settings TEXT NOT NULL,
    created BIGINT NOT NULL,
    modified BIGINT NOT NULL,
    deleted BIGINT
);
CREATE INDEX applications_developer ON applications (developer, created);

CREATE TABLE api_keys (
    id TEXT NOT NULL PRIMARY KEY,
    application TEXT NOT NULL REFERENCES applications (id),
    hash TEXT NOT NULL UNIQUE,
    sealed BYTEA NOT NULL,
    key_id TEXT NOT NULL REFERENCES data_keys (id),
    version BIGINT NOT NULL,
    label TEXT NOT NULL,
    access TEXT,
    active BIGINT NOT NULL,
    created BIGINT NOT NULL,
    modified BIGINT NOT NULL,
    expires BIGINT
);
CREATE INDEX api_keys_application ON api_keys (application, created);
CREATE INDEX api_keys_key ON api_keys (key_id);

CREATE TABLE redirect_uris (
    id TEXT NOT NULL PRIMARY KEY,
    application TEXT NOT NULL REFERENCES applications (id),
    url TEXT NOT NULL,
    created BIGINT NOT NULL,
    modified BIGINT NOT NULL
);
CREATE INDEX redirect_uris_application ON redirect_uris (application, created);

CREATE TABLE trusted_domains (
    id TEXT NOT NULL PRIMARY KEY,
    application TEXT NOT NULL REFERENCES applications (id),
    domain TEXT NOT NULL,
    created BIGINT NOT NULL,
    modified BIGINT NOT NULL
);
CREATE INDEX trusted_domains_application ON trusted_domains (application, created);

CREATE TABLE service_keys (
    id TEXT NOT NULL PRIMARY KEY,
    application TEXT NOT NULL REFERENCES applications (id),
    service TEXT NOT NULL,
    admin BIGINT NOT NULL,
    client_id TEXT NOT NULL,
    sealed BYTEA,
    key_id TEXT REFERENCES data_keys (id),
    version BIGINT NOT NULL,
    scopes TEXT,
    created BIGINT NOT NULL,
    modified BIGINT NOT NULL,
    UNIQUE (application, service, admin)
);
CREATE INDEX service_keys_key ON service_keys (key_id);

CREATE TABLE webhooks (
    id TEXT NOT NULL PRIMARY KEY,
    application TEXT NOT NULL REFERENCES applications (id),
    url TEXT NOT NULL,
    active BIGINT NOT NULL,
    settings TEXT NOT NULL,
    created BIGINT NOT NULL,
    modified BIGINT NOT NULL
);
CREATE INDEX webhooks_application ON webhooks (application, created);

CREATE TABLE accounts (
    id BIGINT NOT NULL PRIMARY KEY,
    application TEXT NOT NULL REFERENCES applications (id),
    service TEXT NOT NULL,
    admin BIGINT NOT NULL,
    identity TEXT NOT NULL,
    display TEXT NOT NULL,
    active BIGINT NOT NULL,
    settings TEXT NOT NULL,
    custom_properties TEXT NOT NULL,
    scope TEXT NOT NULL,
    credential_state TEXT NOT NULL,
    credential_reason TEXT,
    credential_since BIGINT NOT NULL,
    token_expiry BIGINT,
    refresh_token_expiry BIGINT,
    revision BIGINT NOT NULL,
    created BIGINT NOT NULL,
    modified BIGINT NOT NULL,
    deleted BIGINT
);
CREATE UNIQUE INDEX accounts_identity ON accounts (application, service, admin, identity)
    WHERE deleted IS NULL;
CREATE INDEX accounts_application ON accounts (application, id) WHERE deleted IS NULL;

CREATE TABLE credentials (
    account BIGINT NOT NULL PRIMARY KEY REFERENCES accounts (id),
    sealed BYTEA NOT NULL,
    key_id TEXT NOT NULL REFERENCES data_keys (id),
    version BIGINT NOT NULL,
    modified BIGINT NOT NULL
);
CREATE INDEX credentials_key ON credentials (key_id);

CREATE TABLE account_tokens (
    id TEXT NOT NULL PRIMARY KEY,
    account BIGINT NOT NULL REFERENCES accounts (id),
    hash TEXT NOT NULL UNIQUE,
    access TEXT,
    scope TEXT NOT NULL,
    label TEXT NOT NULL,
    created BIGINT NOT NULL,
    expires BIGINT,
    revoked BIGINT
);
CREATE INDEX account_tokens_account ON account_tokens (account, created);

CREATE TABLE upload_locations (
    id TEXT NOT NULL PRIMARY KEY,
    application TEXT NOT NULL REFERENCES applications (id),
    account BIGINT NOT NULL REFERENCES accounts (id),
    folder_id TEXT NOT NULL,
    allow_subfolders BIGINT NOT NULL,
    is_default BIGINT NOT NULL,
    max_file_size BIGINT,
    require_trusted_origin BIGINT NOT NULL,
    created BIGINT NOT NULL,
    modified BIGINT NOT NULL
);
CREATE INDEX upload_locations_application ON upload_locations (application, created);
CREATE UNIQUE INDEX upload_locations_one_default ON upload_locations (application)
    WHERE is_default = 1;
CREATE INDEX upload_locations_account ON upload_locations (account);

CREATE TABLE links (
    id TEXT NOT NULL PRIMARY KEY,
    account BIGINT NOT NULL REFERENCES accounts (id),
    resource_id TEXT NOT NULL,
    resource_name TEXT NOT NULL,
    direct BIGINT NOT NULL,
    active BIGINT NOT NULL,
    password_hash TEXT,
    expiration BIGINT,
    max_downloads BIGINT,
    downloads BIGINT NOT NULL,
    created BIGINT NOT NULL,
    modified BIGINT NOT NULL
);
CREATE INDEX links_account ON links (account, created);

CREATE TABLE multipart_sessions (
    id BIGINT NOT NULL PRIMARY KEY,
    account BIGINT NOT NULL REFERENCES accounts (id),
    parent_id TEXT NOT NULL,
    name TEXT NOT NULL,
    size BIGINT,
    part_size BIGINT NOT NULL,
    parallel BIGINT NOT NULL,
    conflict TEXT NOT NULL,
    state TEXT NOT NULL,
    native TEXT,
    result TEXT,
    busy_until BIGINT,
    created BIGINT NOT NULL,
    modified BIGINT NOT NULL,
    expires BIGINT NOT NULL
);
CREATE INDEX multipart_sessions_account ON multipart_sessions (account);
CREATE INDEX multipart_sessions_expires ON multipart_sessions (expires);

CREATE TABLE multipart_parts (
    session BIGINT NOT NULL REFERENCES multipart_sessions (id),
    number BIGINT NOT NULL,
    size BIGINT NOT NULL,
    digest TEXT,
    native TEXT,
    created BIGINT NOT NULL,
    PRIMARY KEY (session, number)
);

CREATE TABLE tasks (
    id TEXT NOT NULL PRIMARY KEY,
    account BIGINT NOT NULL REFERENCES accounts (id),
    operation TEXT NOT NULL,
    state TEXT NOT NULL,
    payload TEXT NOT NULL,
    progress TEXT NOT NULL,
    result TEXT,
    run_after BIGINT NOT NULL,
    lease_owner TEXT,
    leased_until BIGINT,
    epoch BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    cancel_requested BIGINT,
    created BIGINT NOT NULL,
    modified BIGINT NOT NULL,
    finished BIGINT
);
CREATE INDEX tasks_account ON tasks (account, created);
CREATE INDEX tasks_due ON tasks (run_after) WHERE finished IS NULL;
CREATE INDEX tasks_finished ON tasks (finished) WHERE finished IS NOT NULL;

CREATE TABLE task_items (
    task TEXT NOT NULL REFERENCES tasks (id),
    item TEXT NOT NULL,
    number BIGINT NOT NULL,
    status TEXT NOT NULL,
    detail TEXT NOT NULL,
    modified BIGINT NOT NULL,
    PRIMARY KEY (task, item)
);
CREATE INDEX task_items_order ON task_items (task, number);

CREATE TABLE idempotency (
    scope TEXT NOT NULL PRIMARY KEY,
    fingerprint TEXT NOT NULL,
    state TEXT NOT NULL,
    epoch BIGINT NOT NULL,
    leased_until BIGINT NOT NULL,
    note TEXT,
    status BIGINT,
    headers TEXT,
    body BYTEA,
    created BIGINT NOT NULL,
    expires BIGINT NOT NULL
);
CREATE INDEX idempotency_expires ON idempotency (expires);

CREATE TABLE drop_uploads (
    id TEXT NOT NULL PRIMARY KEY,
    application TEXT NOT NULL REFERENCES applications (id),
    location TEXT NOT NULL,
    account BIGINT NOT NULL REFERENCES accounts (id),
    folder_id TEXT NOT NULL,
    name TEXT,
    total BIGINT,
    chunks BIGINT,
    options TEXT NOT NULL,
    state TEXT NOT NULL,
    result TEXT,
    busy_until BIGINT,
    created BIGINT NOT NULL,
    modified BIGINT NOT NULL,
    expires BIGINT NOT NULL
);
CREATE INDEX drop_uploads_expires ON drop_uploads (expires);
CREATE INDEX drop_uploads_account ON drop_uploads (account);

CREATE TABLE drop_chunks (
    upload TEXT NOT NULL REFERENCES drop_uploads (id),
    number BIGINT NOT NULL,
    start BIGINT,
    size BIGINT NOT NULL,
    place TEXT NOT NULL,
    created BIGINT NOT NULL,
    PRIMARY KEY (upload, number)
);

CREATE TABLE spent_tokens (
    hash TEXT NOT NULL PRIMARY KEY,
    expires BIGINT NOT NULL
);
CREATE INDEX spent_tokens_expires ON spent_tokens (expires);

CREATE TABLE usage_daily (
    day TEXT NOT NULL,
    application TEXT NOT NULL,
    requests BIGINT NOT NULL,
    events BIGINT NOT NULL,
    bytes_in BIGINT NOT NULL,
    bytes_out BIGINT NOT NULL,
    PRIMARY KEY (day, application)
);

CREATE TABLE usage_accounts (
    day TEXT NOT NULL,
    application TEXT NOT NULL,
    account BIGINT NOT NULL,
    PRIMARY KEY (day, application, account)
);

CREATE TABLE request_log (
    id TEXT NOT NULL PRIMARY KEY,
    at BIGINT NOT NULL,
    application TEXT,
    account BIGINT,
    method TEXT NOT NULL,
    route TEXT NOT NULL,
    status BIGINT NOT NULL,
    error_code TEXT,
    service TEXT,
    duration_us BIGINT NOT NULL,
    bytes_in BIGINT NOT NULL,
    bytes_out BIGINT NOT NULL,
    client TEXT
);
CREATE INDEX request_log_at ON request_log (at);
CREATE INDEX request_log_application ON request_log (application, at);
