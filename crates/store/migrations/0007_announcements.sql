-- What happened to an account besides what its service tells: it was connected, a task of it ended. Written in the
-- transaction that makes it so, and taken by the writer of the account's feed in the commit that tells of it.
CREATE TABLE announcements (
    account BIGINT NOT NULL REFERENCES accounts (id),
    at BIGINT NOT NULL,
    -- account.connected, task.completed and so on
    kind TEXT NOT NULL,
    -- The id of what it is about; the account's own as text.
    subject TEXT NOT NULL,
    -- What people know it by.
    name TEXT NOT NULL,
    -- A JSON value.
    details TEXT NOT NULL,
    PRIMARY KEY (account, at, kind, subject)
);

-- What a collection's folder was called when it was first seen, for telling that it went.
ALTER TABLE collections ADD COLUMN name TEXT;
