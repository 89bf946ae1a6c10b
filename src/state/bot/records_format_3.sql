-- records.db as the third format had it.
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
PRAGMA user_version = 3;
CREATE TABLE bot_users (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    username TEXT,
    language TEXT,
    zone TEXT,
    standing TEXT NOT NULL CHECK (standing IN ('seen', 'waiting', 'member', 'denied', 'blocked')),
    roles TEXT NOT NULL,
    attributes TEXT NOT NULL,
    expires TEXT,
    reason TEXT,
    asked_at TEXT,
    made_at TEXT NOT NULL,
    reachable INTEGER NOT NULL
);
CREATE INDEX bot_users_by_standing ON bot_users (standing, name);
CREATE TABLE bot_audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at TEXT NOT NULL,
    actor TEXT NOT NULL,
    subject INTEGER,
    act TEXT NOT NULL,
    detail TEXT NOT NULL
);
CREATE INDEX bot_audit_by_subject ON bot_audit (subject, id);
CREATE TABLE bot_dialogs (
    user INTEGER NOT NULL,
    chat INTEGER NOT NULL,
    state TEXT NOT NULL,
    PRIMARY KEY (user, chat)
) WITHOUT ROWID;
CREATE TABLE bot_shown (
    user INTEGER NOT NULL,
    chat INTEGER NOT NULL,
    messages TEXT NOT NULL,
    PRIMARY KEY (user, chat)
) WITHOUT ROWID;
CREATE TABLE bot_updates (id INTEGER PRIMARY KEY);
CREATE TABLE bot_outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    chat INTEGER NOT NULL,
    content TEXT NOT NULL,
    made_at TEXT NOT NULL,
    failed_at TEXT,
    why TEXT
);
CREATE INDEX bot_outbox_by_chat ON bot_outbox (chat, id);
CREATE TABLE bot_subscriptions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT UNIQUE,
    owner INTEGER,
    chat INTEGER,
    report TEXT NOT NULL,
    asks TEXT NOT NULL,
    cron TEXT NOT NULL,
    zone TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('on', 'paused', 'stopped')),
    why TEXT,
    fired_at TEXT NOT NULL,
    made_at TEXT NOT NULL
);
CREATE INDEX bot_subscriptions_by_owner ON bot_subscriptions (owner, id);
CREATE TABLE bot_alerts (
    name TEXT PRIMARY KEY,
    raised_at TEXT NOT NULL,
    told_at TEXT
) WITHOUT ROWID;
INSERT INTO bot_users VALUES (7, 'Анна', 'anna', 'ru', NULL, 'member', '["executive"]', '{}', NULL, NULL, NULL, '2026-01-01T00:00:00.000000Z', 1);
INSERT INTO bot_subscriptions VALUES (3, NULL, 7, -5, 'revenue', '{}', '0 9 * * *', 'Europe/Moscow', 'on', NULL, '2026-01-01T06:00:00.000000Z', '2026-01-01T00:00:00.000000Z');
INSERT INTO bot_alerts VALUES ('drop', '2026-01-01T00:00:00.000000Z', NULL);
CREATE TABLE bot_moves (was INTEGER PRIMARY KEY, is_now INTEGER NOT NULL);
CREATE INDEX bot_moves_by_now ON bot_moves (is_now);
INSERT INTO bot_moves VALUES (-9, -1009);
