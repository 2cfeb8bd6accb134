-- Encounters that were moved from one subject to another: in which event, and the key that each had before.
CREATE TABLE moved (
    key          INTEGER PRIMARY KEY,
    model        INTEGER NOT NULL REFERENCES model(key),
    subject      INTEGER NOT NULL REFERENCES subject(key),
    into_subject INTEGER NOT NULL REFERENCES subject(key),
    sequence     INTEGER NOT NULL,
    checksum     INTEGER NOT NULL
);
CREATE INDEX moved_sequence ON moved (sequence);

-- Subjects that were found to be another, with whom they are erased.
CREATE TABLE merged (
    subject      INTEGER PRIMARY KEY REFERENCES subject(key),
    into_subject INTEGER NOT NULL REFERENCES subject(key),
    checksum     INTEGER NOT NULL
);
CREATE INDEX merged_into ON merged (into_subject);
