#!/usr/bin/env bash
# The runtime stage, on a bare Debian: installs what build.sh left beside this script.
set -euo pipefail
stage=$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")
mapfile -t packages <"$stage/packages"

export DEBIAN_FRONTEND=noninteractive
apt-get update
# ca-certificates: the authorities that amqps and sslrootcert=system trust.
apt-get install --yes --no-install-recommends ca-certificates "${packages[@]}"
apt-get clean
rm -rf /var/lib/apt/lists/*

# libpq asks for the name of the user it runs as.
groupadd --gid 65532 outboxd
useradd --uid 65532 --gid 65532 --key UID_MAX=65532 --no-create-home --home-dir /nonexistent \
  --shell /usr/sbin/nologin outboxd

install -m 0755 "$stage/outboxd" /usr/bin/outboxd
/usr/bin/outboxd version
