"""The tables, as the first version has them. What a later version changes is a step in `migrations`.

Times are Unix milliseconds. Account IDs and conversations' ids are long and stand in every message, so that messages
have numbers in their place. `position` is a message's place in its conversation: when it was sent, but never later than
when it came, as a sender may claim any time.
"""

from __future__ import annotations

FIRST = """
CREATE TABLE facts (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE profiles (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, name TEXT NOT NULL DEFAULT '',
    picture_url TEXT NOT NULL DEFAULT '', picture_key BLOB NOT NULL DEFAULT x'', updated INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE conversations (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, name TEXT NOT NULL DEFAULT '',
    draft TEXT NOT NULL DEFAULT '', priority INTEGER NOT NULL DEFAULT 0, muted_until INTEGER NOT NULL DEFAULT 0,
    marked_unread INTEGER NOT NULL DEFAULT 0, last_read INTEGER NOT NULL DEFAULT 0,
    last_activity INTEGER NOT NULL DEFAULT 0, unread INTEGER NOT NULL DEFAULT 0, extra TEXT NOT NULL DEFAULT '{}'
) STRICT;
CREATE INDEX conversations_order ON conversations (priority DESC, last_activity DESC);

CREATE TABLE messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT, conversation INTEGER NOT NULL REFERENCES conversations ON DELETE CASCADE,
    sender INTEGER NOT NULL REFERENCES profiles, timestamp INTEGER NOT NULL, received INTEGER NOT NULL,
    position INTEGER NOT NULL, kind TEXT NOT NULL, outgoing INTEGER NOT NULL, state TEXT NOT NULL,
    read INTEGER NOT NULL, deleted INTEGER NOT NULL DEFAULT 0, hash TEXT, quote_timestamp INTEGER, quote_author TEXT,
    timer_kind INTEGER, timer_seconds INTEGER, expires INTEGER, extra TEXT, names TEXT, body TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX messages_once ON messages (timestamp, sender, conversation, kind);
CREATE INDEX messages_order ON messages (conversation, position);
CREATE INDEX messages_hash ON messages (hash) WHERE hash IS NOT NULL;
CREATE INDEX messages_expiry ON messages (expires) WHERE expires IS NOT NULL;
CREATE INDEX messages_unread ON messages (conversation, position) WHERE read = 0 AND outgoing = 0 AND deleted = 0;
CREATE INDEX messages_sender ON messages (sender);

CREATE TRIGGER message_added AFTER INSERT ON messages BEGIN
    UPDATE conversations SET last_activity = max(last_activity, new.position),
        unread = unread + (new.read = 0 AND new.outgoing = 0 AND new.deleted = 0) WHERE number = new.conversation;
END;
CREATE TRIGGER message_changed AFTER UPDATE OF read, outgoing, deleted ON messages BEGIN
    UPDATE conversations SET unread = unread + (new.read = 0 AND new.outgoing = 0 AND new.deleted = 0)
        - (old.read = 0 AND old.outgoing = 0 AND old.deleted = 0) WHERE number = new.conversation;
END;
CREATE TRIGGER message_removed AFTER DELETE ON messages BEGIN
    UPDATE conversations SET unread = unread - (old.read = 0 AND old.outgoing = 0 AND old.deleted = 0)
        WHERE number = old.conversation;
END;

CREATE TABLE reactions (
    message INTEGER NOT NULL REFERENCES messages ON DELETE CASCADE, sender INTEGER NOT NULL REFERENCES profiles,
    emoji TEXT NOT NULL, timestamp INTEGER NOT NULL, PRIMARY KEY (message, sender, emoji)
) STRICT, WITHOUT ROWID;

CREATE TABLE attachments (
    id INTEGER PRIMARY KEY, message INTEGER NOT NULL REFERENCES messages ON DELETE CASCADE, url TEXT NOT NULL,
    key BLOB NOT NULL, digest BLOB NOT NULL, size INTEGER NOT NULL, content_type TEXT NOT NULL, name TEXT NOT NULL,
    caption TEXT NOT NULL, width INTEGER NOT NULL, height INTEGER NOT NULL, voice INTEGER NOT NULL,
    state TEXT NOT NULL DEFAULT 'remote', path TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX attachments_message ON attachments (message);
CREATE INDEX attachments_state ON attachments (state);

CREATE TABLE outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT, pubkey TEXT NOT NULL, namespace INTEGER NOT NULL, hash TEXT NOT NULL,
    payload BLOB NOT NULL, ttl INTEGER NOT NULL, timestamp INTEGER NOT NULL, purpose TEXT NOT NULL,
    message INTEGER REFERENCES messages ON DELETE SET NULL, after INTEGER REFERENCES outbox ON DELETE CASCADE,
    state TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, not_before INTEGER NOT NULL DEFAULT 0,
    stored INTEGER NOT NULL DEFAULT 0, error TEXT NOT NULL DEFAULT '', UNIQUE (hash, pubkey, namespace)
) STRICT;
CREATE INDEX outbox_due ON outbox (state, not_before, id);
CREATE INDEX outbox_message ON outbox (message) WHERE message IS NOT NULL;
CREATE INDEX outbox_after ON outbox (after) WHERE after IS NOT NULL;

CREATE TABLE cursors (
    node BLOB NOT NULL, pubkey TEXT NOT NULL, namespace INTEGER NOT NULL, hash TEXT NOT NULL,
    PRIMARY KEY (node, pubkey, namespace)
) STRICT, WITHOUT ROWID;
CREATE INDEX cursors_pubkey ON cursors (pubkey);

CREATE TABLE seen (hash TEXT PRIMARY KEY, expires INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE INDEX seen_expires ON seen (expires);

CREATE TABLE configs (
    pubkey TEXT NOT NULL, namespace INTEGER NOT NULL, dump BLOB NOT NULL, PRIMARY KEY (pubkey, namespace)
) STRICT, WITHOUT ROWID;

CREATE TABLE unreadable (
    id INTEGER PRIMARY KEY, pubkey TEXT NOT NULL, namespace INTEGER NOT NULL, hash TEXT NOT NULL, data BLOB NOT NULL,
    timestamp INTEGER NOT NULL, reason TEXT NOT NULL, UNIQUE (hash, pubkey, namespace)
) STRICT;

CREATE TABLE nodes (
    ed25519 BLOB PRIMARY KEY, x25519 BLOB NOT NULL, ip TEXT NOT NULL, port INTEGER NOT NULL, quic_port INTEGER
) STRICT, WITHOUT ROWID;
CREATE TABLE guards (place INTEGER PRIMARY KEY, ed25519 BLOB NOT NULL) STRICT;
CREATE TABLE swarms (pubkey TEXT NOT NULL, place INTEGER NOT NULL, ed25519 BLOB NOT NULL, PRIMARY KEY (pubkey, place))
    STRICT, WITHOUT ROWID;

-- Of each message its text and the names of its files, and in which conversation it is, as a word. FTS5 keeps no copy
-- of the text, but has to be told what a row had in order to forget it: see `forgetting`.
CREATE VIRTUAL TABLE search USING fts5 (
    body, names, place, content = '', tokenize = "unicode61 remove_diacritics 2", prefix = '2 3'
);
INSERT INTO search (search, rank) VALUES ('secure-delete', 1);
CREATE TRIGGER search_added AFTER INSERT ON messages WHEN new.body <> '' OR new.names IS NOT NULL BEGIN
    INSERT INTO search (rowid, body, names, place)
        VALUES (new.id, searchable(new.body), searchable(new.names), 'c' || new.conversation);
END;
CREATE TABLE forgotten (id INTEGER PRIMARY KEY, body TEXT NOT NULL, names TEXT, place TEXT NOT NULL) STRICT;
CREATE TRIGGER search_removed AFTER DELETE ON messages WHEN old.body <> '' OR old.names IS NOT NULL BEGIN
    INSERT INTO forgotten VALUES (old.id, old.body, old.names, 'c' || old.conversation);
END;
CREATE TRIGGER search_emptied AFTER UPDATE OF body, names ON messages WHEN old.body <> '' OR old.names IS NOT NULL BEGIN
    INSERT INTO forgotten VALUES (old.id, old.body, old.names, 'c' || old.conversation);
END;
CREATE TRIGGER search_kept BEFORE UPDATE OF body, names ON messages WHEN new.body <> '' OR new.names IS NOT NULL BEGIN
    SELECT raise(ABORT, 'a text is deleted, but never another');
END;
"""

# Parts of the search index are merged by `tidy`, not by whoever adds a message. The rest is protocol v2's: secrets that
# are deleted when they have served, and so are in no backup; others' public keys; and of what is not sent yet, the
# content, which is sealed for the keys that its recipient has by then.
SECOND = """
CREATE TABLE secrets (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE peer_keys (
    account TEXT PRIMARY KEY, record BLOB NOT NULL, asked INTEGER NOT NULL, found INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX peer_keys_asked ON peer_keys (asked);
INSERT INTO search (search, rank) VALUES ('automerge', 0);
CREATE TABLE contents (item INTEGER PRIMARY KEY REFERENCES outbox ON DELETE CASCADE, content BLOB NOT NULL) STRICT;
"""
