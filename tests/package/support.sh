# shellcheck shell=bash
# Sourced by the tests of the package: TEST.sh FOLDER, the folder that ./dev package has filled.
set -euo pipefail

# shellcheck disable=SC2034
source_dir=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)

fail() {
  printf '%s: %s\n' "$(basename -- "$0")" "$*" >&2
  exit 1
}

# expect_line LINE TEXT: one line of the text is this one.
expect_line() {
  grep -qxF -e "$1" <<<"$2" || fail "no line '$1' in:
$2"
}

# expect_none WHAT TEXT: there is no text.
expect_none() { [[ -z $2 ]] || fail "$1:
$2"; }

[[ $# == 1 && -d $1 ]] || fail "wants the folder of the package; ./dev package fills it"
found=("$1"/outboxd_*.deb)
[[ ${#found[@]} == 1 && -e ${found[0]} ]] || fail "wants one package in $1; ./dev package puts it there"
# shellcheck disable=SC2034
deb=$(readlink -f "${found[0]}")

scratch=$(mktemp -d "${TMPDIR:-/tmp}/outboxd-package-XXXXXX")
trap 'rm -rf -- "$scratch"' EXIT
