#!/usr/bin/env bash
# Runs the stages of the Dockerfile where there is no container engine: the same scripts, in a bare Debian that
# debootstrap makes. Then what is left runs as the image would (uid 65532, no capabilities, root mounted
# read-only), with a real PostgreSQL and RabbitMQ. Needs root, debootstrap and "./dev deps".
# usage: deploy/container/try_stages.sh [SUITE]
set -euo pipefail
cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/../.."
suite=${1:-bookworm}
servers=tests/support/servers.sh
dir=$(mktemp -d /var/tmp/outboxd-stages.XXXXXX)
stack=
program=

say() { printf '==> %s\n' "$*"; }

clean_up() {
  [[ -z $program ]] || kill -KILL "$program" 2>/dev/null || true
  [[ -z $stack ]] || "$servers" destroy "$stack"
  rm -rf --one-file-system "$dir"
}
trap clean_up EXIT
trap 'exit 130' INT TERM HUP

# in_stage ROOT COMMAND…: as RUN does it, with mounts and processes that end with the command.
in_stage() {
  local root=$1
  shift
  unshare --mount --pid --fork --kill-child --root="$root" --mount-proc \
    /usr/bin/env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin JOBS="${JOBS:-}" "$@"
}

# in_image COMMAND…: as a container of the image, whose address space and network are ours.
in_image() {
  # shellcheck disable=SC2016 # the inner shell's
  exec unshare --mount bash -c '
    root=$1
    shift
    mount --bind "$root" "$root" && mount -t proc proc "$root/proc" && mount -o remount,bind,ro "$root" &&
      exec chroot "$root" setpriv --reuid=65532 --regid=65532 --clear-groups --no-new-privs \
        --bounding-set=-all --inh-caps=-all -- "$@"' bash "$dir/runtime" "$@"
}

# until_it_is SECONDS COMMAND…
until_it_is() {
  local rounds=$(($1 * 5))
  shift
  until "$@" >/dev/null 2>&1; do
    ((rounds-- > 0)) || return 1
    sleep 0.2
  done
}

say "a bare Debian ($suite), twice"
debootstrap --variant=minbase "$suite" "$dir/build" >"$dir/debootstrap.log" 2>&1 || {
  tail "$dir/debootstrap.log" >&2
  exit 1
}
cp -a "$dir/build" "$dir/runtime"

say 'the build stage'
mkdir "$dir/build/src"
git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -P -t "$dir/build/src"
in_stage "$dir/build" bash -c 'cd /src && ./dev deps build'
in_stage "$dir/build" bash -c "cd /src && OUTBOXD_REVISION=$(git rev-parse --short=12 HEAD) deploy/container/build.sh /out"
say "libraries of the program are in: $(tr '\n' ' ' <"$dir/build/out/packages")"

say 'the runtime stage'
cp -r "$dir/build/out" "$dir/runtime/stage"
in_stage "$dir/runtime" /stage/runtime.sh
rm -r "$dir/runtime/stage"
if in_stage "$dir/runtime" ldd /usr/bin/outboxd | grep 'not found'; then exit 1; fi

say 'as the image runs it'
(in_image sh -c 'test "$(id -u)" = 65532 && ! touch /tmp/written 2>/dev/null') || {
  echo 'it is root, or can write' >&2
  exit 1
}
stack=$("$servers" scratch)
OUTBOX_DATABASE_URL=$("$servers" postgres-start "$stack")
OUTBOX_AMQP_URL=$("$servers" rabbitmq-start "$stack")
OUTBOX_HTTP_LISTEN=127.0.0.1:19654
export OUTBOX_DATABASE_URL OUTBOX_AMQP_URL OUTBOX_HTTP_LISTEN
(in_image /usr/bin/outboxd migrate up)
(in_image /usr/bin/outboxd check)
in_image /usr/bin/outboxd run 2>"$dir/log" &
program=$!
healthcheck() { (in_image /usr/bin/outboxd healthcheck "$@"); }
until_it_is 30 healthcheck && until_it_is 30 healthcheck --ready || {
  cat "$dir/log" >&2
  exit 1
}
healthcheck
healthcheck --ready
kill -TERM "$program"
wait "$program"
program=
say "it was live and ready, and drained after SIGTERM; $(du -sh --exclude=proc "$dir/runtime" | cut -f1) of files"
