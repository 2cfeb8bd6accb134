-- Events are sealed before they are written anywhere. What a stop left unlogged of the first format has its salt here, and its payload in plain: it goes
-- into the log as such events do, 0, salt and payload.
ALTER TABLE outbox RENAME COLUMN salt TO commitment;
UPDATE outbox SET payload = CAST(X'00' || commitment || payload AS BLOB), commitment = event_commitment(commitment, payload);
-- Answers of before are of another form: who repeats a request under its key makes it anew.
DELETE FROM answer;
