# shellcheck shell=bash
# PostgreSQL, its stand-bys and a PgBouncer: a part of servers.sh, which sources it.
# shellcheck disable=SC2154 # server_user

postgres_bin() {
  local bin
  bin=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
  if [[ -x $bin/postgres ]]; then
    echo "$bin"
  elif command -v initdb >/dev/null; then
    dirname "$(command -v initdb)"
  else
    die 'PostgreSQL is not installed (try: ./dev deps)'
  fi
}

# fsync stays on: what the server has acknowledged is on disk, as in production. Only the creation
# of the cluster skips it.
postgres_create() {
  local home=$1/postgres
  make_home "$home"
  random_hex | as_server tee "$home/password" >/dev/null
  as_server "$(postgres_bin)/initdb" --pgdata="$home/data" --username=postgres \
    --auth=scram-sha-256 --pwfile="$home/password" --encoding=UTF8 --locale=C \
    --no-sync --no-instructions >"$home/initdb.log" 2>&1 || explain PostgreSQL "$home/initdb.log"
  as_server tee -a "$home/data/postgresql.conf" >/dev/null <<'END'
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 200
max_prepared_transactions = 10
shared_buffers = 64MB
# Nothing outside the data directory can be left behind by a kill -9.
dynamic_shared_memory_type = mmap
log_line_prefix = '%m [%p] %a '
log_lock_waits = on
END
}

# Copies the data of the first server, or of the one that is named; streams from it from then on. What
# was in DIR before is gone, but for its port.
postgres_join() {
  local dir=$1 home=$1/postgres primary=${2:-${1%/*}}/postgres
  [[ -d $primary ]] || die "no PostgreSQL in ${2:-${1%/*}} to copy"
  if [[ -d $home ]]; then
    postgres_gone "$dir" || die "the PostgreSQL in $dir is running"
    rm -rf "$home/data"
  else
    make_home "$home"
    as_server cp "$primary/password" "$home"
    free_port >"$home/port"
  fi
  PGPASSWORD=$(<"$home/password") as_server "$(postgres_bin)/pg_basebackup" --pgdata="$home/data" \
    --host=127.0.0.1 --port="$(<"$primary/port")" --username=postgres --write-recovery-conf \
    --checkpoint=fast --no-sync >"$home/basebackup.log" 2>&1 || explain PostgreSQL "$home/basebackup.log"
  postgres_start "$dir"
}

postgres_promote() {
  local home=$1/postgres
  as_server "$(postgres_bin)/pg_ctl" promote --pgdata="$home/data" --wait --timeout=60 \
    >>"$home/start.log" 2>&1 || explain PostgreSQL "$home/start.log" "$home/postgres.log"
}

postgres_gone() { [[ -z $(postgres_pids "$1") ]]; }

postgres_launch() {
  local home=$1/postgres
  : >>"$home/start.log"
  as_server "$(postgres_bin)/pg_ctl" start --pgdata="$home/data" --log="$home/postgres.log" \
    --options="-p $(<"$home/port")" --wait --timeout=60 </dev/null >>"$home/start.log" 2>&1
}

postgres_start() {
  local dir=$1 home=$1/postgres try
  if [[ ! -f $home/port ]]; then
    postgres_create "$dir"
    for try in 1 2 3 4 5; do
      free_port >"$home/port"
      if postgres_launch "$dir"; then break; fi
      grep -q 'Address already in use' "$home/postgres.log" && ((try < 5)) ||
        explain PostgreSQL "$home/start.log" "$home/postgres.log"
    done
  elif postgres_gone "$dir"; then
    postgres_launch "$dir" || explain PostgreSQL "$home/start.log" "$home/postgres.log"
  fi
  postgres_uri "$dir"
}

postgres_uri() {
  echo "postgresql://postgres:$(<"$1/postgres/password")@127.0.0.1:$(<"$1/postgres/port")/postgres"
}

postgres_stop() {
  local home=$1/postgres mode=${2:-fast}
  if postgres_gone "$1"; then return; fi
  as_server "$(postgres_bin)/pg_ctl" stop --pgdata="$home/data" --mode="$mode" --wait --timeout=60 \
    >>"$home/start.log" 2>&1 || explain PostgreSQL "$home/start.log" "$home/postgres.log"
  wait_until 60 postgres_gone "$1" || die "PostgreSQL in $1 does not stop"
}

# Nobody is left who could use what the lock file points at: a System V segment, which would stay
# for ever, and a pid, which would look alive as long as its zombie is not reaped.
postgres_kill() {
  local lock=$1/postgres/data/postmaster.pid segment
  postgres_pids "$1" | kill_all
  wait_until 60 postgres_gone "$1" || die "PostgreSQL in $1 survives kill -9"
  segment=$(sed -n '7s/.* //p' "$lock" 2>/dev/null) || true
  [[ -z $segment ]] || as_server ipcrm -m "$segment" 2>/dev/null || true
  rm -f "$lock"
}

# --- PgBouncer ------------------------------------------------------------------------------------

pgbouncer_serving() { (exec 9<>"/dev/tcp/127.0.0.1/$(<"$1/pgbouncer/port")") 2>/dev/null; }

pgbouncer_serves_or_ended() { pgbouncer_serving "$1" || ! alive "$2"; }

pgbouncer_create() {
  local home=$1/pgbouncer postgres=$1/postgres
  PATH=$PATH:/usr/sbin command -v pgbouncer >/dev/null || die 'PgBouncer is not installed (try: ./dev deps)'
  make_home "$home"
  free_port >"$home/port"
  printf '"postgres" "%s"\n' "$(<"$postgres/password")" | as_server tee "$home/users" >/dev/null
  as_server tee "$home/pgbouncer.ini" >/dev/null <<END
[databases]
* = host=127.0.0.1 port=$(<"$postgres/port")
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = $(<"$home/port")
unix_socket_dir =
auth_type = scram-sha-256
auth_file = $home/users
pool_mode = transaction
default_pool_size = 5
END
}

pgbouncer_start() {
  local dir=$1 home=$1/pgbouncer pid
  [[ -d $home ]] || pgbouncer_create "$dir"
  if ! pgbouncer_serving "$dir"; then
    PATH=$PATH:/usr/sbin as_server setsid pgbouncer "$home/pgbouncer.ini" </dev/null >>"$home/start.log" 2>&1 &
    pid=$!
    wait_until 30 pgbouncer_serves_or_ended "$dir" "$pid" && pgbouncer_serving "$dir" ||
      explain PgBouncer "$home/start.log"
  fi
  echo "postgresql://postgres:$(<"$dir/postgres/password")@127.0.0.1:$(<"$home/port")/postgres"
}
