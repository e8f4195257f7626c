#!/usr/bin/env bash
# What an INSERT into the outbox costs the service that writes it. A PostgreSQL of its own, pgbench, one INSERT of
# 512 bytes for each transaction, into tables that differ only in what stands behind them:
#   bare     the columns, the key and the pending index, and nothing else
#   checks   with the writers' rules as CHECK constraints
#   outbox   as the migrations make it (the rules in one trigger, the gated wake-up), relay busy
#   notify   bare, with a trigger that always notifies
# In turn, several rounds; prints medians and their ratio to bare. Machines are noisy: read the ratios.
#
#   bench/writers_tax.sh [ROUNDS [SECONDS]]      (5 rounds of 4 seconds)
set -euo pipefail
cd "$(dirname -- "${BASH_SOURCE[0]}")/.."
rounds=${1:-5} seconds=${2:-4}
tables=(bare checks outbox notify)
servers=tests/support/servers.sh
outboxd=build/release/service/outboxd
[[ -x $outboxd ]] || outboxd=build/dev/service/outboxd

dir=$("$servers" scratch)
trap '"$servers" destroy "$dir"' EXIT
trap 'exit 130' INT TERM
url=$("$servers" postgres-start "$dir")
OUTBOX_DATABASE_URL=$url "$outboxd" migrate up >"$dir/migrate.log"

sql() { psql -qX -v ON_ERROR_STOP=1 "$url" -c "$1"; }
sql 'ALTER SYSTEM SET max_connections = 200'
sql 'CREATE SCHEMA b'
for t in bare checks notify; do
  # The columns with their defaults; neither constraints nor triggers come along.
  sql "CREATE TABLE b.$t (LIKE outbox.messages INCLUDING DEFAULTS, PRIMARY KEY (id))"
  sql "CREATE INDEX ON b.$t (id) WHERE status = 'pending'"
done
short() { printf 'ADD CHECK (octet_length(%s) <= 255), ' "$@"; }
sql "ALTER TABLE b.checks $(short exchange routing_key ordering_key content_type content_encoding type correlation_id \
  reply_to app_id) ADD CHECK ((payload IS NULL) <> (payload_bytes IS NULL)), ADD CHECK (priority BETWEEN 0 AND 255),
  ADD CHECK (expiration_ms BETWEEN 0 AND 315360000000), ADD CHECK (isfinite(not_before)),
  ADD CHECK (jsonb_typeof(headers) = 'object'), ADD CHECK (octet_length(headers::text) <= 65536),
  ADD CHECK (octet_length(headers::text) <= 255 OR outbox.header_names_fit(headers)),
  ADD CHECK (NOT jsonb_path_exists(headers, '\$.keyvalue().key ? (@ starts with \"x-outbox-\")')),
  ADD CHECK (status IN ('pending', 'deferred', 'sent', 'dead')),
  ADD CHECK (status <> 'deferred' OR due_at IS NOT NULL), ADD CHECK (status <> 'sent' OR sent_at IS NOT NULL)"
sql "CREATE FUNCTION b.notify() RETURNS trigger LANGUAGE plpgsql AS
     \$\$ BEGIN PERFORM pg_notify('b', ''); RETURN NULL; END \$\$"
sql 'CREATE TRIGGER notify AFTER INSERT ON b.notify FOR EACH STATEMENT EXECUTE FUNCTION b.notify()'

for t in "${tables[@]}"; do
  into=b.$t
  [[ $t == outbox ]] && into=outbox.messages
  echo "INSERT INTO $into (routing_key, payload) VALUES ('q', repeat('x', 512));" >"$dir/$t.sql"
done

transactions() {  # clients, table, synchronous_commit -> transactions a second
  PGOPTIONS="-c synchronous_commit=$3" pgbench -n -M prepared -c "$1" -j 2 -T "$seconds" -f "$dir/$2.sql" "$url" 2>/dev/null |
    awk '/^tps/ {print $3}'
}
median() { sort -g | awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)]}'; }

printf '%-34s' "transactions/s (ratio to bare)"
printf '%18s' "${tables[@]}"
echo
# One client that does not wait for the disk shows the processor's share; the others what a service would see.
for run in '1 off' '8 on' '32 on'; do
  read -r clients commit <<<"$run"
  : >"$dir/results"
  for ((r = 1; r <= rounds; r++)); do
    for t in "${tables[@]}"; do
      echo "$t $(transactions "$clients" "$t" "$commit")" >>"$dir/results"
    done
  done
  printf '%-34s' "$clients clients, synchronous_commit=$commit"
  base=$(awk '$1 == "bare" {print $2}' "$dir/results" | median)
  for t in "${tables[@]}"; do
    m=$(awk -v t="$t" '$1 == t {print $2}' "$dir/results" | median)
    printf '%18s' "$(awk -v m="$m" -v b="$base" 'BEGIN {printf "%d (%.2f)", m, m / b}')"
  done
  echo
done
