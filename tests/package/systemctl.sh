#!/usr/bin/env bash
# In a chroot without systemd, for "enable --now outboxd@NAME", "restart" and "disable --now" of it: runs what the unit and
# its drop-ins say, with the file of settings and the credentials that they name and as a user without rights, as
# DynamicUser= would, and waits like systemd does.
set -euo pipefail

case $* in
  daemon-reload) exit ;;
  'enable --now outboxd@'*) todo=start ;;
  'disable --now outboxd@'*) todo=stop ;;
  'restart outboxd@'*) todo='stop start' ;;
  *) exit 64 ;;
esac
name=${!#}
instance=${name#outboxd@}
unit=/lib/systemd/system/outboxd@.service
log=/var/log/$name.log
pid_file=/run/$name.pid
credentials=/run/credentials/$name.service

# of_unit KEY: the values, one on each line.
of_unit() {
  shopt -s nullglob
  cat "$unit" "/etc/systemd/system/$name.service.d/"*.conf | sed -n "s|^$1=||p" | sed "s|%i|$instance|g; s|%d|$credentials|g"
}

# wait_until COMMAND…: for half a minute.
wait_until() {
  # shellcheck disable=SC2016
  timeout 30 bash -c 'until "$@" >/dev/null 2>&1; do sleep 0.05; done' bash "$@" || {
    cat "$log" >&2
    return 1
  }
}

start() {
  local credential variable
  rm -rf "$credentials"
  install --directory --owner=nobody --mode=0500 "$credentials"
  for credential in $(of_unit LoadCredential); do
    install --owner=nobody --mode=0400 "${credential#*:}" "$credentials/${credential%%:*}"
  done
  set -a
  # shellcheck disable=SC1090
  . "$(of_unit EnvironmentFile)"
  set +a
  for variable in $(of_unit Environment); do export "${variable?}"; done
  # shellcheck disable=SC2046
  setsid setpriv --reuid=nobody --regid=nogroup --clear-groups --no-new-privs $(of_unit ExecStart) \
    </dev/null >"$log" 2>&1 &
  echo $! >"$pid_file"
  wait_until outboxd healthcheck
}

stop() {
  kill "$(<"$pid_file")"
  wait_until test ! -e "/proc/$(<"$pid_file")"
  rm -r "$pid_file" "$credentials"
}

for verb in $todo; do "$verb"; done
