#!/usr/bin/env bash
# In a chroot without systemd, for "enable --now outboxd@NAME" and "disable --now outboxd@NAME": runs what the unit says,
# with the file of settings that it names and as a user without rights, as DynamicUser= would, and waits like systemd does.
set -euo pipefail

[[ $# == 3 && $2 == --now && $3 == outboxd@* ]] || exit 64
unit=/lib/systemd/system/outboxd@.service
log=/var/log/$3.log
pid_file=/run/$3.pid
of_unit() { sed -n "s/^$1=//p" "$unit" | sed "s/%i/${instance}/g"; }
instance=${3#outboxd@}

# wait_until COMMAND…: for half a minute.
wait_until() {
  # shellcheck disable=SC2016
  timeout 30 bash -c 'until "$@" >/dev/null 2>&1; do sleep 0.05; done' bash "$@" || {
    cat "$log" >&2
    return 1
  }
}

set -a
# shellcheck disable=SC1090
. "$(of_unit EnvironmentFile)"
set +a
case $1 in
  enable)
    # shellcheck disable=SC2046
    setsid setpriv --reuid=nobody --regid=nogroup --clear-groups --no-new-privs $(of_unit ExecStart) \
      </dev/null >"$log" 2>&1 &
    echo $! >"$pid_file"
    wait_until outboxd healthcheck
    ;;
  disable)
    kill "$(<"$pid_file")"
    wait_until test ! -e "/proc/$(<"$pid_file")"
    rm "$pid_file"
    ;;
  *) exit 64 ;;
esac
