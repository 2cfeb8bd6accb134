-- What officers grant: to callers of their nation, and to other nations. Its content is JSON; a name is unique among a nation's live grants.
CREATE TABLE granted (
    id          BLOB PRIMARY KEY,
    nation      TEXT NOT NULL,
    name        TEXT NOT NULL,
    credential  TEXT,             -- a digest: of a token, a certificate, or an issuer and its subject
    content     TEXT NOT NULL,
    proposed_by BLOB,             -- the officer's own grant
    proposed_at INTEGER NOT NULL,
    approved_by BLOB,
    approved_at INTEGER,
    ends_at     INTEGER NOT NULL,
    revoked_at  INTEGER,
    checksum    INTEGER NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX granted_name ON granted (nation, name) WHERE revoked_at IS NULL;
CREATE UNIQUE INDEX granted_credential ON granted (credential) WHERE revoked_at IS NULL;
