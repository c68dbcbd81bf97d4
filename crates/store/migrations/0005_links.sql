-- Links of a service's own. `as_user` is the member that a link was made as. A row with a `native_url`
-- stands for a link of the service; `native_id` is what the service knows it by, and is not there while it
-- is switched off.

ALTER TABLE links ADD COLUMN as_user TEXT;
ALTER TABLE links ADD COLUMN access TEXT NOT NULL DEFAULT 'anyone';
ALTER TABLE links ADD COLUMN role TEXT NOT NULL DEFAULT 'reader';
ALTER TABLE links ADD COLUMN native_id TEXT;
ALTER TABLE links ADD COLUMN native_url TEXT;
-- One link of a service serves one row, or deleting one row would end another's link.
CREATE UNIQUE INDEX links_native ON links (account, resource_id, native_id)
    WHERE native_id IS NOT NULL;
