CREATE TABLE items (
    sku      TEXT   NOT NULL PRIMARY KEY COLLATE "C",
    name     TEXT   NOT NULL,
    quantity BIGINT NOT NULL CHECK (quantity BETWEEN 0 AND 1000000000),
    version  BIGINT NOT NULL DEFAULT 1
);

CREATE TABLE reservations (
    id       TEXT   NOT NULL PRIMARY KEY COLLATE "C",
    sku      TEXT   NOT NULL COLLATE "C" REFERENCES items (sku),
    quantity BIGINT NOT NULL CHECK (quantity > 0)
);

CREATE INDEX reservations_by_sku ON reservations (sku);

CREATE TABLE movements (
    id     BIGINT      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sku    TEXT        NOT NULL,
    delta  BIGINT      NOT NULL,
    reason TEXT        NOT NULL,
    at     TIMESTAMPTZ NOT NULL DEFAULT now()
);
