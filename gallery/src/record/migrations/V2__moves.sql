-- Encounters that were moved from one subject to another: in which event, and the key and the reference that each had before.
CREATE TABLE moved (
    key          INTEGER PRIMARY KEY,
    encounter    BLOB NOT NULL,
    reference    TEXT,
    model        INTEGER NOT NULL REFERENCES model(key),
    subject      INTEGER NOT NULL REFERENCES subject(key),
    into_subject INTEGER NOT NULL REFERENCES subject(key),
    sequence     INTEGER NOT NULL,
    checksum     INTEGER NOT NULL
);
CREATE INDEX moved_sequence ON moved (sequence);
CREATE INDEX moved_encounter ON moved (encounter);
CREATE INDEX moved_reference ON moved (subject, reference) WHERE reference IS NOT NULL;

-- Subjects that were found to be another, with whom they are erased.
CREATE TABLE merged (
    subject      INTEGER PRIMARY KEY REFERENCES subject(key),
    into_subject INTEGER NOT NULL REFERENCES subject(key),
    checksum     INTEGER NOT NULL
);
CREATE INDEX merged_into ON merged (into_subject);
