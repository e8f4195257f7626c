#!/usr/bin/env bash
# Follows docs/operations/installing.md in a fresh Debian, from "apt install" to a delivered message and back: every
# sh block of the page, in its order, as it stands there, but the first with the addresses. What it depends on comes from
# Debian. systemd does not run in a chroot: "systemctl" starts what the unit says with the unit's settings, as nobody.
# shellcheck source=tests/package/support.sh
. "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/support.sh"

page=$source_dir/docs/operations/installing.md
servers=$source_dir/tests/support/servers.sh
[[ $(id -u) == 0 ]] || fail 'wants root, for a chroot'

root=$scratch/debian
base=$source_dir/build/package-base.tar

# The system of this machine, as small as can be; it is made once.
make_root() {
  local release
  mkdir "$root"
  if [[ ! -e $base ]]; then
    release=$(. /etc/os-release && echo "$VERSION_CODENAME")
    debootstrap --variant=minbase "$release" "$root" >"$scratch/debootstrap.log" 2>&1 ||
      fail "debootstrap: $(tail "$scratch/debootstrap.log")"
    tar --create --file="$base.new" --directory="$root" .
    mv "$base.new" "$base"
  else
    tar --extract --file="$base" --directory="$root"
  fi
  cp --remove-destination --dereference /etc/resolv.conf "$root/etc/"
  cp "$deb" "$root/root/"
  cp "$source_dir/tests/package/systemctl.sh" "$root/usr/local/bin/systemctl"
}

# Block N of the page, or how many there are.
blocks() { awk '/^```sh$/ { ++n; inside = 1; next } /^```$/ { inside = 0 } inside && n == '"$1"; }
count() { grep -c '^```sh$' "$page"; }

# The page's own variables, and no other, with the addresses of the servers that were started here.
addresses() {
  local database=$1 broker=$2 names
  names=$(blocks 1 <"$page" | sed 's/=.*//' | tr '\n' ' ')
  [[ $names == 'OWNER PASSWORD RELAY BROKER LISTEN ' ]] || fail "the page's first block sets other things: $names"
  printf "OWNER='%s'\n" "$database"
  printf "PASSWORD='%s'\n" "$(od --address-radix=n --read-bytes=16 --format=x1 /dev/urandom | tr --delete ' \n')"
  # shellcheck disable=SC2016
  printf 'RELAY="%s"\n' "$(sed 's|//[^@]*@|//shop_outboxd:$PASSWORD@|' <<<"$database")"
  printf "BROKER='%s'\n" "$broker"
  printf "LISTEN='127.0.0.1:%s'\n" "$(free_port)"
}

free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# Mounts and processes end with the command, however it ends.
inside() {
  local variable passed=()
  for variable in http_proxy https_proxy no_proxy; do
    if [[ -v $variable ]]; then passed+=("$variable=${!variable}"); fi
  done
  # shellcheck disable=SC2016
  unshare --mount --pid --fork --kill-child=KILL bash -c '
    mount -t proc proc "$1/proc" && mount --rbind /dev "$1/dev" && exec chroot "$@"' bash \
    "$root" /usr/bin/env -i HOME=/root LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive "${passed[@]}" \
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"
}

follow() {
  local n
  echo 'set -euxo pipefail; cd /root'
  addresses "$@"
  for ((n = 2; n <= $(count); ++n)); do blocks "$n" <"$page"; done
}

# What of the program is anywhere but in the records of dpkg and apt.
traces() {
  find "$root" -xdev -name '*outboxd*' ! -path "$root/var/lib/*" ! -path "$root/var/cache/*" ! -path "$root/var/log/*" \
    ! -path "$root/root/*"
}

# The servers end when this process does, however it does: nobody else may hold the lifeline.
mkfifo "$scratch/lifeline"
exec {lifeline}<>"$scratch/lifeline"
read -r stack < <("$servers" guard <"$scratch/lifeline" {lifeline}>&-)
database=$("$servers" postgres-start "$stack" {lifeline}>&-)
broker=$("$servers" rabbitmq-start "$stack" {lifeline}>&-)
make_root
follow "$database" "$broker" >"$root/root/follow.sh"
inside bash -c 'apt-get update -qq && bash /root/follow.sh' >"$scratch/said" 2>&1 {lifeline}>&- ||
  fail "the page cannot be followed:
$(tail -60 "$scratch/said")"
said=$(<"$scratch/said")
printf '%s\n' "$said"
grep -qF '{"order": 1}' <<<"$(grep -v '^+' <<<"$said")" || fail 'no message has arrived'
expect_none 'left behind' "$(traces)"
