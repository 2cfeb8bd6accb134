-- What an owner says of its records, and what a search needs beforehand. A row that failed its checksum before fails it after.
ALTER TABLE watchlist ADD COLUMN grading TEXT NOT NULL DEFAULT 'X4';
ALTER TABLE watchlist ADD COLUMN instructions TEXT NOT NULL DEFAULT '{}'; -- JSON: a text for a category
ALTER TABLE watchlist ADD COLUMN prior_authorisation TEXT NOT NULL DEFAULT 'not_needed';
UPDATE watchlist SET checksum = row_sum(id, owner, name, purposes, legal_bases, handling, categories, model, threshold, retention_days,
    review_days, created_at, grading, instructions, prior_authorisation)
    WHERE handling <> 'H3' AND checksum = row_sum(id, owner, name, purposes, legal_bases, handling, categories, model, threshold,
    retention_days, review_days, created_at);
UPDATE watchlist SET handling = 'H3: ask the owner', checksum = row_sum(id, owner, name, purposes, legal_bases, 'H3: ask the owner',
    categories, model, threshold, retention_days, review_days, created_at, grading, instructions, prior_authorisation)
    WHERE handling = 'H3' AND checksum = row_sum(id, owner, name, purposes, legal_bases, handling, categories, model, threshold,
    retention_days, review_days, created_at);

-- Of an entry, where it differs from its watchlist.
ALTER TABLE entry ADD COLUMN handling TEXT;
ALTER TABLE entry ADD COLUMN grading TEXT;
ALTER TABLE entry ADD COLUMN instruction TEXT;
UPDATE entry SET checksum = row_sum(subject, watchlist, category, listed_at, retain_until, review_by, state, NULL, NULL, NULL)
    WHERE checksum = row_sum(subject, watchlist, category, listed_at, retain_until, review_by, state);

-- What owners are told: somebody was found whom the searcher was not shown. Its content is JSON.
CREATE TABLE notice (
    number   INTEGER PRIMARY KEY AUTOINCREMENT,
    owner    TEXT NOT NULL,
    subject  INTEGER NOT NULL REFERENCES subject(key),
    lookup   BLOB NOT NULL,
    content  TEXT NOT NULL,
    checksum INTEGER NOT NULL -- but for the number
);
CREATE INDEX notice_owner ON notice (owner, number);
CREATE INDEX notice_subject ON notice (subject);
CREATE INDEX notice_lookup ON notice (lookup);

-- Results of lookups whose authorisation is to be supplied: until when, or they are erased.
CREATE TABLE pending (
    lookup       BLOB PRIMARY KEY,
    caller       TEXT NOT NULL,
    sequence     INTEGER NOT NULL, -- of its event, and so of the answer under its key
    authorise_by INTEGER NOT NULL,
    results      TEXT NOT NULL, -- JSON
    checksum     INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX pending_due ON pending (authorise_by);
