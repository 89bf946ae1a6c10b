-- records.db as the first format had it.
PRAGMA journal_mode = WAL;
CREATE TABLE letters (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    track TEXT NOT NULL,
    seq INTEGER NOT NULL,
    attempt TEXT NOT NULL,
    ordinal INTEGER NOT NULL,
    column_name TEXT,
    reason TEXT NOT NULL,
    row TEXT NOT NULL,
    at TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'confirmed', 'replayed', 'dropped')),
    UNIQUE (track, seq, attempt, ordinal)
);
CREATE INDEX letters_by_state ON letters (track, state, id);
INSERT INTO letters VALUES (1, 'витрина:orders', 1, 'a1', 0, 'n', 'text in an int64 column', '{}', '2026-01-31T10:00:00.000000Z', 'confirmed');
PRAGMA user_version = 1;
