#!/usr/bin/env bash
# Run once by PostgreSQL's image, when it creates its database: logins for the owner of the schema, for outboxd and
# for the service, each with no more rights than it needs. The migration job fills the group roles with grants.
set -euo pipefail
export SECRETS=${SECRETS:-/run/secrets}
psql --set=ON_ERROR_STOP=1 --no-psqlrc --username="${POSTGRES_USER:-postgres}" --dbname="${POSTGRES_DB:-shop}" <<'END'
\set owner `cat "$SECRETS/owner_password"`
\set outboxd `cat "$SECRETS/outboxd_password"`
\set shop `cat "$SECRETS/shop_password"`
CREATE ROLE shop_owner LOGIN PASSWORD :'owner';
CREATE ROLE shop_outboxd LOGIN PASSWORD :'outboxd';
CREATE ROLE shop LOGIN PASSWORD :'shop';
ALTER DATABASE shop OWNER TO shop_owner;

CREATE ROLE outbox_writer NOLOGIN;
CREATE ROLE outbox_relay NOLOGIN;
CREATE ROLE outbox_operator NOLOGIN;
CREATE ROLE outbox_reader NOLOGIN;
GRANT outbox_writer TO shop;
GRANT outbox_relay TO shop_outboxd;

CREATE SCHEMA shop AUTHORIZATION shop;
CREATE TABLE shop.orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer text NOT NULL, total numeric NOT NULL);
ALTER TABLE shop.orders OWNER TO shop;
END
