#!/usr/bin/env bash
# Throw-away PostgreSQL and RabbitMQ servers on private ports of 127.0.0.1, each in a directory of
# its own. Several stacks run side by side, and none of them touches a server of the system.
#
# Every process started here carries OUTBOXD_SCRATCH=DIR in its environment. That is how `destroy`
# finds what belongs to a directory, even when the start itself was interrupted half-way.
set -euo pipefail

usage() {
  cat <<'END'
usage: servers.sh VERB DIR …

  scratch                        make a directory for a stack and print its name
  postgres-start DIR             start (again) and print the superuser's URI
  postgres-stop DIR [fast|immediate]
  postgres-kill DIR              kill -9 of every process of the server, all at once
  postgres-join DIR/NODE         a streaming stand-by, NODE, of the server of DIR, which runs; prints its URI.
                                 The other verbs of PostgreSQL take DIR/NODE as well.
  postgres-promote DIR/NODE      the stand-by takes writes from now on
  pgbouncer-start DIR            a PgBouncer in transaction mode before that PostgreSQL; prints its URI
  rabbitmq-start DIR [management]  start (again) and print the URL of vhost /
  rabbitmq-join DIR/NODE         one more broker, NODE, in a cluster with that of DIR, which runs; prints its
                                 URL. The other verbs of RabbitMQ take DIR/NODE as well.
  rabbitmq-stop DIR
  rabbitmq-kill DIR
  rabbitmq-ctl DIR ARGUMENT…     rabbitmqctl on that broker
  guard                          make a directory, print its name, return at once, and destroy
                                 the directory when standard input ends
  destroy DIR                    kill what runs there and remove the directory

Ports, URLs and logs lie in DIR/postgres and DIR/rabbitmq.
END
}

die() {
  printf 'servers.sh: %s\n' "$*" >&2
  exit 1
}

# PostgreSQL refuses to run as root; for root both servers run as the user of the package.
server_user=
if [[ $(id -u) == 0 ]]; then
  server_user=postgres
  getent passwd "$server_user" >/dev/null || server_user=nobody
fi

as_server() {
  if [[ -n $server_user ]]; then
    setpriv --reuid="$server_user" --regid="$(id -g "$server_user")" --clear-groups -- "$@"
  else
    "$@"
  fi
}

# --- processes ------------------------------------------------------------------------------------

# A zombie is dead: not every container has an init that reaps.
alive() {
  local stat
  stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
  [[ ${stat##*) } != Z* ]]
}

dead() { ! alive "$1"; }

# wait_until SECONDS COMMAND…: polls, 20 times a second.
wait_until() {
  local rounds=$(($1 * 20))
  shift
  while ! "$@"; do
    ((rounds-- > 0)) || return 1
    sleep 0.05
  done
}

# Reads names like /proc/12/environ, writes those pids that are alive.
living() {
  local pid
  while IFS=/ read -r _ _ pid _; do
    if alive "$pid"; then echo "$pid"; fi
  done
}

# marked_pids VARIABLE DIR: the processes that were started with VARIABLE=DIR. Asked as both users:
# without CAP_SYS_PTRACE even root may not look into a process of somebody else.
marked_pids() {
  {
    grep -lszxF "$1=$2" /proc/[0-9]*/environ || true
    [[ -z $server_user ]] || as_server grep -lszxF "$1=$2" /proc/[0-9]*/environ || true
  } 2>/dev/null | sort -u | living
}

# PostgreSQL writes its process title over its environment, but all its processes live in the data
# directory.
postgres_pids() {
  local pid
  { as_server find /proc/[0-9]*/cwd -maxdepth 0 -lname "$1/postgres/data" 2>/dev/null || true; } |
    living | while read -r pid; do
    if [[ $(cat "/proc/$pid/comm" 2>/dev/null) == postgres ]]; then echo "$pid"; fi
  done
}

kill_all() {
  local pids
  mapfile -t pids
  [[ ${#pids[@]} == 0 ]] || kill -KILL "${pids[@]}" 2>/dev/null || true
}

# --- ports ----------------------------------------------------------------------------------------

# Below the range from which the kernel serves outgoing connections, so that a server that is
# stopped for a while finds its port free again.
free_port() {
  local port hex
  while read -r port; do
    printf -v hex ':%04X' "$port"
    if ! { cat /proc/net/tcp /proc/net/tcp6 2>/dev/null || true; } |
      awk -v port="$hex\$" '$2 ~ port { used = 1 } END { exit !used }'; then
      echo "$port"
      return
    fi
  done < <(shuf -i 15000-31999 -n 100)
  die 'no free port found'
}

# --- PostgreSQL -----------------------------------------------------------------------------------

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

# Copies the data of the first server; streams from it from then on.
postgres_join() {
  local dir=$1 home=$1/postgres primary=${1%/*}/postgres
  [[ -d $primary ]] || die "no PostgreSQL in ${1%/*} to copy"
  make_home "$home"
  as_server cp "$primary/password" "$home"
  PGPASSWORD=$(<"$home/password") as_server "$(postgres_bin)/pg_basebackup" --pgdata="$home/data" \
    --host=127.0.0.1 --port="$(<"$primary/port")" --username=postgres --write-recovery-conf \
    --checkpoint=fast --no-sync >"$home/basebackup.log" 2>&1 || explain PostgreSQL "$home/basebackup.log"
  free_port >"$home/port"
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

# --- RabbitMQ -------------------------------------------------------------------------------------

# The scripts in PATH change the user and use the system's node; these do not.
rabbitmq_bin=/usr/lib/rabbitmq/bin

# Settings of the system (rabbitmq-env.conf, conf.d, advanced.config, RABBITMQ_* of the caller) must
# not leak in, hence a clean environment and files of our own.
rabbitmq_env() {
  local home=$1/rabbitmq
  shift
  as_server env -i \
    PATH="$rabbitmq_bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" \
    HOME="$home" LANG=C.UTF-8 OUTBOXD_SCRATCH="${OUTBOXD_SCRATCH:-}" \
    ERL_EPMD_PORT="$(<"$home/epmd.port")" ERL_EPMD_ADDRESS=127.0.0.1 \
    RABBITMQ_NODENAME="$(<"$home/name")" RABBITMQ_DIST_PORT="$(<"$home/dist.port")" \
    RABBITMQ_CTL_DIST_PORT_MIN=0 RABBITMQ_CTL_DIST_PORT_MAX=0 \
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS='-kernel inet_dist_use_interface {127,0,0,1} net_ticktime 8' \
    RABBITMQ_CONF_ENV_FILE="$home/env.conf" RABBITMQ_CONFIG_FILE="$home/rabbitmq.conf" \
    RABBITMQ_CONFIG_FILES="$home/conf.d" RABBITMQ_ADVANCED_CONFIG_FILE="$home/advanced.config" \
    RABBITMQ_ENABLED_PLUGINS_FILE="$home/enabled_plugins" RABBITMQ_MNESIA_BASE="$home/data" \
    RABBITMQ_LOG_BASE="$home" RABBITMQ_PID_FILE="$home/pid" RABBITMQ_GENERATED_CONFIG_DIR="$home/generated" \
    RABBITMQ_FEATURE_FLAGS_FILE="$home/feature_flags" \
    "$@"
}

rabbitmq_create() {
  local home=$1/rabbitmq plugins=
  [[ -x $rabbitmq_bin/rabbitmq-server ]] || die 'RabbitMQ is not installed (try: ./dev deps)'
  make_home "$home"
  as_server mkdir "$home/conf.d"
  if [[ -n ${joining:-} ]]; then
    as_server cp "$joining/password" "$joining/.erlang.cookie" "$home"
    echo "outboxd-${1##*/}@localhost" >"$home/name"
  else
    random_hex | as_server tee "$home/password" >/dev/null
    random_hex | as_server tee "$home/.erlang.cookie" >/dev/null
    as_server chmod 0400 "$home/.erlang.cookie"
    echo outboxd@localhost >"$home/name"
  fi
  : | as_server tee "$home/env.conf" >/dev/null
  echo '[].' | as_server tee "$home/advanced.config" >/dev/null
  if [[ ${2:-} == management ]]; then plugins=rabbitmq_management; fi
  echo "[$plugins]." | as_server tee "$home/enabled_plugins" >/dev/null
}

rabbitmq_choose_ports() {
  local home=$1/rabbitmq
  free_port >"$home/port"
  if [[ -n ${joining:-} ]]; then cp "$joining/epmd.port" "$home"; else free_port >"$home/epmd.port"; fi
  free_port >"$home/dist.port"
  as_server tee "$home/rabbitmq.conf" >/dev/null <<END
listeners.tcp.local = 127.0.0.1:$(<"$home/port")
default_user = outboxd
default_pass = $(<"$home/password")
log.file = rabbitmq.log
log.console = false
disk_free_limit.absolute = 50MB
cluster_partition_handling = pause_minority
END
  if grep -q management "$home/enabled_plugins"; then
    free_port >"$home/management.port"
    printf '%s\n' 'management.tcp.ip = 127.0.0.1' \
      "management.tcp.port = $(<"$home/management.port")" |
      as_server tee -a "$home/rabbitmq.conf" >/dev/null
  fi
}

# Serving means: it answers a protocol header. (The listeners are opened last in the boot.)
rabbitmq_serving() {
  {
    exec 9<>"/dev/tcp/127.0.0.1/$(<"$1/rabbitmq/port")" &&
      printf 'AMQP\x00\x00\x09\x01' >&9 &&
      LC_ALL=C read -r -N 1 -t 2 -u 9 _
  } 2>/dev/null || return 1
  exec 9>&-
}

rabbitmq_boots_or_serves() { rabbitmq_serving "$1" || ! alive "$2"; }

# The broker would start an epmd itself, but one that leaves its environment and so its mark. The
# brokers of a cluster share the first one's, which stays when they end.
rabbitmq_launch() {
  local dir=$1 home=$1/rabbitmq launcher
  rabbitmq_kill "$dir"
  if ! (exec 9<>"/dev/tcp/127.0.0.1/$(<"$home/epmd.port")") 2>/dev/null; then
    rabbitmq_env "$dir" setsid epmd </dev/null >>"$home/epmd.log" 2>&1 &
  fi
  rabbitmq_env "$dir" OUTBOXD_BROKER="$dir" setsid "$rabbitmq_bin/rabbitmq-server" \
    </dev/null >>"$home/start.log" 2>&1 &
  launcher=$!
  wait_until 120 rabbitmq_boots_or_serves "$dir" "$launcher" && rabbitmq_serving "$dir"
}

rabbitmq_start() {
  local dir=$1 home=$1/rabbitmq try
  if [[ ! -f $home/port ]]; then
    rabbitmq_create "$@"
    for try in 1 2 3 4 5; do
      rabbitmq_choose_ports "$dir"
      if rabbitmq_launch "$dir"; then break; fi
      grep -qsE 'eaddrinuse|already in use|already_used' "$home/start.log" "$home/rabbitmq.log" "$home/epmd.log" &&
        ((try < 5)) || explain RabbitMQ "$home/epmd.log" "$home/start.log" "$home/rabbitmq.log"
    done
  elif ! rabbitmq_serving "$dir"; then
    rabbitmq_launch "$dir" || explain RabbitMQ "$home/epmd.log" "$home/start.log" "$home/rabbitmq.log"
  fi
  rabbitmq_url "$dir"
}

rabbitmq_join() {
  local dir=$1 joining=${1%/*}/rabbitmq
  [[ -d $joining ]] || die "no broker in ${1%/*} to join"
  rabbitmq_start "$dir" >/dev/null
  rabbitmq_ctl "$dir" stop_app
  rabbitmq_ctl "$dir" reset
  rabbitmq_ctl "$dir" join_cluster "$(<"$joining/name")"
  rabbitmq_ctl "$dir" start_app
  rabbitmq_url "$dir"
}

rabbitmq_url() {
  echo "amqp://outboxd:$(<"$1/rabbitmq/password")@127.0.0.1:$(<"$1/rabbitmq/port")/%2f"
}

rabbitmq_stop() {
  local pid
  pid=$(cat "$1/rabbitmq/pid" 2>/dev/null) || return 0
  kill -TERM "$pid"
  wait_until 60 dead "$pid" || die "RabbitMQ in $1 does not stop"
  rabbitmq_kill "$1"
}

rabbitmq_gone() { [[ -z $(marked_pids OUTBOXD_BROKER "$1") ]]; }

# With the broker go the helpers of its virtual machine.
rabbitmq_kill() {
  marked_pids OUTBOXD_BROKER "$1" | kill_all
  wait_until 60 rabbitmq_gone "$1" || die "RabbitMQ in $1 survives kill -9"
  rm -f "$1/rabbitmq/pid"
}

rabbitmq_ctl() {
  local dir=$1
  shift
  rabbitmq_env "$dir" "$rabbitmq_bin/rabbitmqctl" --quiet "$@"
}

# --- directories ----------------------------------------------------------------------------------

random_hex() { od -An -N 16 -tx1 /dev/urandom | tr -d ' \n'; }

make_home() {
  mkdir "$1"
  [[ -z $server_user ]] || chown "$server_user:$(id -g "$server_user")" "$1"
  chmod 0700 "$1"
  as_server test -w "$1" ||
    die "the user $server_user cannot reach $1: let TMPDIR name a directory that everybody can enter"
}

# explain SERVER LOG…: what failed, with the end of each log.
explain() {
  local server=$1 log
  shift
  for log in "$@"; do
    if [[ -s $log ]]; then
      printf -- '--- end of %s\n' "$log" >&2
      tail -n 20 "$log" >&2
    fi
  done
  die "$server did not do as told"
}

# Of the stack, with its stand-bys.
all_postgres_pids() {
  local server
  for server in "$1" "$1"/*/; do postgres_pids "${server%/}"; done
}

nothing_left() { [[ -z $(marked_pids OUTBOXD_SCRATCH "$1")$(all_postgres_pids "$1") ]]; }

# First the scripts that may be starting something, then what they have started.
destroy() {
  local dir=$1 server
  unset OUTBOXD_SCRATCH
  [[ -d $dir ]] || return 0
  for _ in {1..600}; do
    { marked_pids OUTBOXD_SCRATCH "$dir"; all_postgres_pids "$dir"; } | kill_all
    if nothing_left "$dir"; then break; fi
    sleep 0.05
  done
  nothing_left "$dir" || die "processes of $dir survive kill -9"
  for server in "$dir" "$dir"/*/; do postgres_kill "${server%/}"; done
  rm -rf -- "$dir"
}

# The mark has to be in the environment with which this process was started. It is that of the whole
# stack, also for a broker that joined it.
marked() {
  local dir=$1 stack=$1
  shift
  [[ ! -d ${dir%/*}/rabbitmq && ! -d ${dir%/*}/postgres ]] || stack=${dir%/*}
  [[ -d $stack ]] || die "no directory $stack"
  if [[ ${OUTBOXD_SCRATCH:-} != "$stack" ]]; then
    OUTBOXD_SCRATCH=$stack exec bash "$0" "$@"
  fi
  [[ -d $dir ]] || mkdir "$dir"
  # For root: the servers' user walks through, but does not look around.
  if [[ -n $server_user ]]; then chmod 0711 "$dir"; fi
}

scratch() { mktemp -d "${TMPDIR:-/tmp}/outboxd-XXXXXX"; }

# Signals are ignored before there is anything to leave behind.
guarding() {
  trap '' INT TERM HUP PIPE
  local dir
  dir=$(scratch)
  echo "$dir" || true
  cat >/dev/null || true
  destroy "$dir"
}

verb=${1:-}
case $verb in
  scratch | guarding)
    "$verb"
    exit
    ;;
  # In a session of its own and nobody's child: whatever kills the caller does not reach it.
  guard) exec setsid --fork bash "$0" guarding ;;
  postgres-start | postgres-stop | postgres-kill | postgres-join | postgres-promote | pgbouncer-start | rabbitmq-start | rabbitmq-join | rabbitmq-stop | rabbitmq-kill | \
    rabbitmq-ctl | destroy)
    [[ $# -ge 2 ]] || die "$verb needs a directory"
    ;;
  *)
    usage
    [[ -z $verb || $verb == help || $verb == --help ]]
    exit
    ;;
esac

dir=$(readlink -m "$2")
case $verb in
  destroy) destroy "$dir" ;;
  *)
    marked "$dir" "$@"
    shift 2
    "${verb/-/_}" "$dir" "$@"
    ;;
esac
