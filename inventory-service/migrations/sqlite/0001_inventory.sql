CREATE TABLE items (
    sku      TEXT    NOT NULL PRIMARY KEY,
    name     TEXT    NOT NULL,
    quantity INTEGER NOT NULL CHECK (quantity BETWEEN 0 AND 1000000000),
    version  INTEGER NOT NULL DEFAULT 1
) STRICT, WITHOUT ROWID;

CREATE TABLE reservations (
    id       TEXT    NOT NULL PRIMARY KEY,
    sku      TEXT    NOT NULL REFERENCES items (sku),
    quantity INTEGER NOT NULL CHECK (quantity > 0)
) STRICT, WITHOUT ROWID;

CREATE INDEX reservations_by_sku ON reservations (sku);

CREATE TABLE movements (
    id     INTEGER PRIMARY KEY,
    sku    TEXT    NOT NULL,
    delta  INTEGER NOT NULL,
    reason TEXT    NOT NULL,
    at     TEXT    NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
) STRICT;
