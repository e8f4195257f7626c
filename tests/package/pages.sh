#!/usr/bin/env bash
# The pages of the manual can be read without a warning, and found by their names.
# shellcheck source=tests/package/support.sh
. "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/support.sh"

dpkg-deb --extract "$deb" "$scratch/root"

# page FILE WORD…: as people see it, the words are there.
page() {
  local file=$scratch/root/usr/share/man/$1 word text
  shift
  text=$(LC_ALL=C.UTF-8 MANWIDTH=80 man --warnings=w --encoding=UTF-8 --local-file "$file" 2>"$scratch/man.err") ||
    fail "man fails: $(<"$scratch/man.err")"
  expect_none "man warns about $file" "$(<"$scratch/man.err")"
  expect_none "groff warns about $file" "$(zcat "$file" | groff -man -ww -K utf8 -T utf8 -z 2>&1)"
  for word; do
    grep -qF -e "$word" <<<"$text" || fail "$file does not say '$word'"
  done
}

page man1/outboxd.1.gz 'dead discard' '--dry-run' 'table|json' 'EXIT STATUS' '/etc/outboxd/NAME.env'
page man5/outboxd.env.5.gz OUTBOX_DATABASE_URL OUTBOX_LOG_FORMAT 'Default: 24h.' 'CONNECTIONS'
expect_line 'outboxd - relays a PostgreSQL outbox table to RabbitMQ' \
  "$(lexgrog "$scratch/root/usr/share/man/man1/outboxd.1.gz" | sed 's/^[^"]*"\(.*\)"$/\1/')"
