#!/usr/bin/env bash
# The build stage, after "./dev deps build": leaves in DIR the program, the names of the Debian packages whose
# libraries it needs, and the script of the runtime stage.
# usage: build.sh DIR
set -euo pipefail
out=$1
cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/../.."

# The packages of the libraries that ldd names. dpkg knows some by their path below /usr, some by that without.
packages_of() {
  local library
  ldd "$1" | awk '$2 == "=>" { print $3 }' | while read -r library; do
    library=$(readlink -f "$library")
    dpkg-query --search "$library" 2>/dev/null || dpkg-query --search "${library#/usr}"
  done | cut -d: -f1 | sort -u
}

./dev build release outboxd
install -D --strip build/release/service/outboxd "$out/outboxd"
packages_of "$out/outboxd" >"$out/packages"
install -m 0755 deploy/container/runtime.sh "$out"
