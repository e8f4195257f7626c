#!/usr/bin/env bash
# hardening.sh BINARY: what cmake/hardening.cmake asks for is in the binary that is shipped.
set -euo pipefail

binary=$1
failed=0

# has WHAT PATTERN OPTION…: readelf with these options shows the pattern.
has() {
  local what=$1 pattern=$2
  shift 2
  if grep -Eq -- "$pattern" <<<"$(readelf -W "$@" "$binary")"; then
    echo "ok    $what"
  else
    echo "FAIL  $what"
    failed=1
  fi
}

has 'position-independent' 'Type: +DYN' --file-header
has 'relocations are read-only' 'GNU_RELRO' --program-headers
has 'all of them, from the start' 'BIND_NOW|Flags:.* NOW' --dynamic
has 'no executable stack' 'GNU_STACK .* RW ' --program-headers
has 'stack protector' '__stack_chk_fail' --dyn-syms
has 'assertions' '__assert_fail' --dyn-syms
has 'fortified functions' '__[a-z]+_chk' --dyn-syms
if grep -Eq 'RPATH|RUNPATH' <<<"$(readelf -W --dynamic "$binary")"; then
  echo 'FAIL  it looks for libraries in a folder of the build'
  failed=1
fi
exit "$failed"
