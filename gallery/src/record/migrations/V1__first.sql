-- The source of truth. A checksum is row_sum() of the row's other columns, but for counts. Times are milliseconds since 1970, UTC. Ids are the 16 bytes of a UUID.

CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) WITHOUT ROWID;
-- clock: the latest time that a change was made; ledger: how many lines of the ledger of erasures are carried out.
INSERT INTO meta VALUES ('sequence', 0), ('generation', 0), ('clock', 0), ('ledger', 0);

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
    review_days    INTEGER NOT NULL,
    created_at     INTEGER NOT NULL,
    checksum       INTEGER NOT NULL,
    -- Active references, kept by the writer in the same transaction as what it counts.
    active         INTEGER NOT NULL DEFAULT 0,
    UNIQUE (owner, name)
);

CREATE TABLE subject (
    key           INTEGER PRIMARY KEY, -- also the cell of its key among the subjects' keys
    id            BLOB NOT NULL UNIQUE,
    owner         TEXT NOT NULL,
    reference     TEXT NOT NULL,
    enrolled_at   INTEGER NOT NULL,
    retired_at    INTEGER,
    restricted_at INTEGER,
    erase_at      INTEGER,          -- ordered: not searched, key and rows to be destroyed
    erased_at     INTEGER,          -- done
    changed       INTEGER NOT NULL, -- the last event that changed what is searched of it
    checksum      INTEGER NOT NULL
);
CREATE INDEX subject_changed ON subject (changed);
CREATE INDEX subject_erasing ON subject (erase_at) WHERE erase_at IS NOT NULL AND erased_at IS NULL;
CREATE UNIQUE INDEX subject_reference ON subject (owner, reference) WHERE retired_at IS NULL;
CREATE INDEX subject_retired ON subject (owner, reference) WHERE retired_at IS NOT NULL;

CREATE TABLE entry (
    subject      INTEGER NOT NULL REFERENCES subject(key),
    watchlist    INTEGER NOT NULL REFERENCES watchlist(key),
    category     TEXT NOT NULL,
    listed_at    INTEGER NOT NULL,
    retain_until INTEGER NOT NULL,
    review_by    INTEGER NOT NULL,
    state        INTEGER NOT NULL, -- 0 active, 1 retired, 2 expired, 3 restricted
    checksum     INTEGER NOT NULL,
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
    checksum    INTEGER NOT NULL, -- but for the template, which has a tag of its own
    template    BLOB NOT NULL -- f32, little-endian, as they came, sealed under the subject's key
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

-- Long work that somebody asked for.
CREATE TABLE job (
    id         BLOB PRIMARY KEY,
    kind       TEXT NOT NULL,
    state      TEXT NOT NULL,
    outcome    TEXT,
    created_at INTEGER NOT NULL,
    ended_at   INTEGER
) WITHOUT ROWID;
