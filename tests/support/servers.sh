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
  postgres-join DIR/NODE [FROM]  a streaming stand-by, NODE, of the server of DIR, or of that in FROM, which
                                 runs; prints its URI. Replaces what was in DIR/NODE; FROM/NODE may be DIR
                                 too. The other verbs of PostgreSQL take DIR/NODE as well.
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

# --- servers --------------------------------------------------------------------------------------

here=$(dirname -- "${BASH_SOURCE[0]}")
# shellcheck source=tests/support/servers_postgres.sh
. "$here/servers_postgres.sh"
# shellcheck source=tests/support/servers_rabbitmq.sh
. "$here/servers_rabbitmq.sh"

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
