-- What scores of a model mean: JSON. The newest of a model holds; the others explain answers of before.
CREATE TABLE calibration (
    key      INTEGER PRIMARY KEY,
    id       BLOB NOT NULL UNIQUE,
    model    INTEGER NOT NULL REFERENCES model (key),
    made_at  INTEGER NOT NULL,
    body     TEXT NOT NULL,
    checksum INTEGER NOT NULL
);
-- The FPIR that a watchlist names beside its threshold. A row that failed its checksum before fails it after.
ALTER TABLE watchlist ADD COLUMN fpir REAL;
UPDATE watchlist SET checksum = row_sum(id, owner, name, purposes, legal_bases, handling, categories, model, threshold, retention_days,
    review_days, created_at, grading, instructions, prior_authorisation, gates, fpir)
    WHERE checksum = row_sum(id, owner, name, purposes, legal_bases, handling, categories, model, threshold, retention_days,
    review_days, created_at, grading, instructions, prior_authorisation, gates);
