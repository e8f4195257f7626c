#!/usr/bin/env bash
# Builds and tests this tree on another system, in a chroot: run.sh NAME [CTEST OPTION…], as root.
#
# Everything happens in a mount and a pid namespace of its own. They end with their first process, and
# with them whatever is still mounted or running: after an error, an interruption or a kill -9 too.
# Nothing is mounted where somebody else, who removes build/ for instance, could meet it.
#
# build/distro/NAME keeps what is slow to get: the system (root), its packages (archives), and in
# root/outboxd/build what was compiled.
set -euo pipefail
cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/../.."

say() { printf '==> %s\n' "$*"; }

die() {
  printf 'distro: %s\n' "$*" >&2
  exit 1
}

# The scripts have the oldest names, so that a debootstrap older than the system can make it too.
choose_system() {
  case $1 in
    trixie) vendor=debian components=main script=sid ;;
    noble) vendor=ubuntu components=main,universe script=gutsy ;;
    *) die "no system '$1': trixie (Debian 13) or noble (Ubuntu 24.04)" ;;
  esac
  home=$PWD/build/distro/$1
  root=$home/root
  keyring=/usr/share/keyrings/$vendor-archive-keyring.gpg
  [[ -r $keyring ]] || die "$1 is signed with the keys in $keyring, which is not there:
        it comes with the package $vendor-keyring of Ubuntu or of Debian 13"
}

enter_namespaces() {
  mkdir -p "$home/archives"
  exec {lock}>"$home/lock"
  flock --nonblock "$lock" || die "another ./dev distro $1 is running"
  exec unshare --mount --pid --fork --kill-child=KILL --mount-proc \
    bash tests/distro/run.sh --in-namespaces "$@"
}

make_root() {
  [[ ! -d $root ]] || return 0
  say "making a $name with debootstrap"
  rm -rf "$root.new"
  # No mirror: debootstrap knows that of the system. What is not signed by it is not taken.
  debootstrap --variant=minbase --keyring="$keyring" --force-check-gpg \
    --components="$components" --cache-dir="$home/archives" \
    "$name" "$root.new" "${MIRROR:-}" "$script"
  # It can be made again: no package has to be on the disk before the next one.
  echo force-unsafe-io >"$root.new/etc/dpkg/dpkg.cfg.d/throw-away"
  mv "$root.new" "$root"
}

mount_what_it_needs() {
  mount -t proc proc "$root/proc"
  mount --rbind /sys "$root/sys"
  mount --rbind /dev "$root/dev"
  mount --bind "$home/archives" "$root/var/cache/apt/archives"
  cp --remove-destination --dereference /etc/resolv.conf /etc/hosts "$root/etc/"
  # Of a run that was killed.
  find "$root/tmp" -mindepth 1 -delete
}

# The tracked files as they lie in the working tree, with their times: Ninja builds what has changed.
copy_tree() {
  local tree=$root/outboxd file
  mkdir -p "$tree"
  find "$tree" -mindepth 1 -maxdepth 1 ! -name build -exec rm -rf {} +
  git ls-files -z |
    while IFS= read -r -d '' file; do
      if [[ -e $file ]]; then printf '%s\0' "$file"; fi
    done |
    tar --create --null --files-from=- | tar --extract --no-same-owner --directory="$tree"
}

inside() {
  local variable passed=()
  for variable in JOBS OUTBOXD_SEEDS OUTBOXD_TEST_SCALE http_proxy https_proxy no_proxy; do
    if [[ -v $variable ]]; then passed+=("$variable=${!variable}"); fi
  done
  chroot "$root" /usr/bin/env -i HOME=/root LANG=C.UTF-8 TERM="${TERM:-dumb}" "${passed[@]}" \
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    bash -c 'cd /outboxd && exec "$@"' bash "$@"
}

versions() {
  say "$(. "$root/etc/os-release" && echo "$PRETTY_NAME"), with"
  inside dpkg-query --show g++ cmake libboost-dev libssl-dev libpqxx-dev librabbitmq-dev libspdlog-dev \
    libcli11-dev prometheus-cpp-dev libgtest-dev 'postgresql-[1-9]?' rabbitmq-server pgbouncer | sort
}

# Read as a whole before it runs: a run is long, and this file may change meanwhile.
main() {
  local entered=
  if [[ ${1:-} == --in-namespaces ]]; then
    entered=yes
    shift
  fi
  name=${1:-}
  choose_system "$name"
  [[ -n $entered ]] || enter_namespaces "$@"
  shift

  # The first process of a pid namespace gets no signal that it does not ask for.
  trap 'exit 130' INT TERM HUP
  umask 022
  make_root
  mount_what_it_needs
  copy_tree
  inside ./dev deps
  versions
  # PostgreSQL and RabbitMQ are packaged in both systems.
  inside ./dev test all --label-regex '^(unit|integration)$' "$@"
  exit
}

main "$@"
