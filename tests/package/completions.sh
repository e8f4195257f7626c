#!/usr/bin/env bash
# Each shell takes its completions, and offers what the command line understands.
# shellcheck source=tests/package/support.sh
. "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/support.sh"

dpkg-deb --extract "$deb" "$scratch/root"
share=$scratch/root/usr/share

# What each shell offers at the end of a line, a word on each line.
by_bash() {
  bash -c '. "$1"; COMP_WORDS=("${@:2}"); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _outboxd; printf "%s\n" "${COMPREPLY[@]}"' \
    bash "$share/bash-completion/completions/outboxd" "$@"
}
# Outside of its line editor zsh completes nothing; these take the places of what it would be told.
by_zsh() {
  # shellcheck disable=SC2016
  zsh -f -c 'compadd() { print -l -- "$@" }
    _describe() { local all="${@[-1]}"; print -l -- "${(@)${(@P)all}%%:*}" }
    file=$1; shift; words=("$@"); CURRENT=$#words; . "$file"' \
    zsh "$share/zsh/vendor-completions/_outboxd" "$@"
}
by_fish() {
  # shellcheck disable=SC2016
  fish --no-config -c 'source $argv[1]; complete --do-complete "$argv[2]"' \
    "$share/fish/vendor_completions.d/outboxd.fish" "$*" | cut -f1
}

bash -n "$share/bash-completion/completions/outboxd"
zsh -n "$share/zsh/vendor-completions/_outboxd"
fish --no-execute "$share/fish/vendor_completions.d/outboxd.fish"

for shell in bash zsh fish; do
  offered=$("by_$shell" outboxd '')
  for verb in run migrate check dead healthcheck version; do expect_line "$verb" "$offered"; done
  expect_line discard "$("by_$shell" outboxd dead '')"
  expect_line print "$("by_$shell" outboxd migrate '')"
  expect_line json "$("by_$shell" outboxd check -o '')"
  expect_line --since "$("by_$shell" outboxd dead list --)"
  ! grep -qx run <<<"$("by_$shell" outboxd dead list --key '')" || fail "$shell offers verbs where a key is wanted"
  ! grep -qx list <<<"$offered" || fail "$shell offers the verbs of dead before it"
done
[[ $(by_bash outboxd status --output = j) == json ]] || fail 'bash does not complete behind ='
