#!/usr/bin/env bash
# lintian finds no error and no warning. What is accepted stands in deploy/debian/lintian-overrides, with its reason.
# shellcheck source=tests/package/support.sh
. "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/support.sh"

status=0
said=$(lintian --allow-root --fail-on error,warning --display-info --tag-display-limit 0 "$deb" 2>&1) || status=$?
printf '%s\n' "$said"
[[ $status == 0 ]] || fail 'lintian is not content'
# An override that nothing needs hides what comes later.
! grep -q 'unused-override\|mismatched-override' <<<"$said" || fail 'an override is not needed'
