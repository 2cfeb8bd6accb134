-- The source of truth. Times are milliseconds since 1970, UTC. Ids are the 16 bytes of a UUID.

CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO meta VALUES ('sequence', 0), ('generation', 0);

CREATE TABLE model (
    key       INTEGER PRIMARY KEY,
    name      TEXT NOT NULL UNIQUE,
    dimension INTEGER NOT NULL,
    mean      BLOB, -- f32, little-endian
    checksum  INTEGER NOT NULL
);

CREATE TABLE watchlist (
    key            INTEGER PRIMARY KEY,
    id             BLOB NOT NULL UNIQUE,
    owner          TEXT NOT NULL,
    name           TEXT NOT NULL,
    purposes       TEXT NOT NULL, -- words, separated by commas, as in the two below
    legal_bases    TEXT NOT NULL,
    handling       TEXT NOT NULL,
    categories     TEXT NOT NULL,
    model          INTEGER NOT NULL REFERENCES model(key),
    threshold      REAL NOT NULL,
    retention_days INTEGER NOT NULL,
    created_at     INTEGER NOT NULL,
    -- Active references, kept by the writer in the same transaction as what it counts.
    active         INTEGER NOT NULL DEFAULT 0,
    UNIQUE (owner, name)
);

CREATE TABLE subject (
    key         INTEGER PRIMARY KEY,
    id          BLOB NOT NULL UNIQUE,
    owner       TEXT NOT NULL,
    reference   TEXT NOT NULL,
    enrolled_at INTEGER NOT NULL,
    retired_at  INTEGER
);
CREATE UNIQUE INDEX subject_reference ON subject (owner, reference) WHERE retired_at IS NULL;
CREATE INDEX subject_retired ON subject (owner, reference) WHERE retired_at IS NOT NULL;

CREATE TABLE entry (
    subject      INTEGER NOT NULL REFERENCES subject(key),
    watchlist    INTEGER NOT NULL REFERENCES watchlist(key),
    category     TEXT NOT NULL,
    listed_at    INTEGER NOT NULL,
    retain_until INTEGER NOT NULL,
    state        INTEGER NOT NULL, -- 0 active, 1 retired, 2 expired
    PRIMARY KEY (subject, watchlist)
) WITHOUT ROWID;
CREATE INDEX entry_expiry ON entry (retain_until) WHERE state = 0;
CREATE INDEX entry_watchlist ON entry (watchlist, subject);

CREATE TABLE encounter (
    key         INTEGER PRIMARY KEY AUTOINCREMENT, -- ascends for ever: the order of slots
    id          BLOB NOT NULL UNIQUE,
    subject     INTEGER NOT NULL REFERENCES subject(key),
    reference   TEXT,
    model       INTEGER NOT NULL REFERENCES model(key),
    captured_at INTEGER,
    enrolled_at INTEGER NOT NULL,
    checksum    INTEGER NOT NULL, -- CRC-32C of ids, model and features
    features    BLOB NOT NULL     -- f32, little-endian, as they came
);
CREATE INDEX encounter_subject ON encounter (subject, model);
CREATE UNIQUE INDEX encounter_reference ON encounter (subject, reference) WHERE reference IS NOT NULL;

-- Events that the audit log may not hold yet: exact bytes, deleted once it does.
CREATE TABLE outbox (
    sequence INTEGER PRIMARY KEY,
    salt     BLOB NOT NULL,
    payload  BLOB NOT NULL
);

-- Answers under their idempotency keys. The receipt is filled in when the audit log has given it.
CREATE TABLE answer (
    caller     TEXT NOT NULL,
    name       TEXT NOT NULL,
    request    BLOB NOT NULL,
    outcome    BLOB NOT NULL,
    sequence   INTEGER NOT NULL,
    leaf_index INTEGER,
    leaf_hash  BLOB,
    given_at   INTEGER NOT NULL,
    PRIMARY KEY (caller, name)
) WITHOUT ROWID;
CREATE INDEX answer_sequence ON answer (sequence);
CREATE INDEX answer_age ON answer (given_at);
