#!/usr/bin/env bash
# Fetches the tools and libraries that the recipes are tested with, from npm, Maven Central and the Go module proxy, into
# build/recipes: once for each version. What cannot be fetched is named, and its tests are skipped.
set -euo pipefail
cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/../.."
here=tests/recipes
to=$PWD/build/recipes
mkdir -p "$to"

# part NAME FILE… -- COMMAND…: unless it was done with these files before. Of the commands each hangs on the one before:
# where a function is a condition, the shell goes on after an error.
part() {
  local name=$1 files=() wanted
  shift
  while [[ $1 != -- ]]; do
    files+=("$1")
    shift
  done
  shift
  wanted=$(sha256sum "${files[@]}" "$here/fetch.sh")
  if [[ -f $to/$name.done && $(<"$to/$name.done") == "$wanted" ]]; then return; fi
  rm -f "$to/$name.done"
  if "$@" >"$to/$name.log" 2>&1; then
    echo "$wanted" >"$to/$name.done"
    echo "==> fetched: $name"
  else
    echo "==> could not fetch: $name (see $to/$name.log)"
  fi
}

# modules DIRECTORY-WITH-A-LOCK-FILE NAME
modules() {
  rm -rf "${to:?}/$2" && mkdir -p "$to/$2" && cp "$1"/package.json "$1"/package-lock.json "$to/$2" &&
    (cd "$to/$2" && npm ci --ignore-scripts --no-audit --no-fund)
}

# With nothing to do they are loaded all the same, with everything that they need.
plugins() {
  rm -rf "$to/m2" && mvn -B -Dmaven.repo.local="$to/m2" -f "$here/maven/pom.xml" -Dflyway.skip=true \
    org.flywaydb:flyway-maven-plugin:validate org.liquibase:liquibase-maven-plugin:help &&
    touch "$to/m2/ready"
}

go_write() {
  mkdir -p "$to/go" && (cd examples/writing/go && go build -o "$to/go/write" .)
}

go_migrate() {
  GOBIN=$to/go go install -tags postgres github.com/golang-migrate/migrate/v4/cmd/migrate@v4.18.3
}

part node examples/writing/node/package-lock.json -- modules examples/writing/node node
part npm "$here"/npm/package-lock.json -- modules "$here/npm" npm
part m2 "$here/maven/pom.xml" -- plugins
part go-write examples/writing/go/main.go examples/writing/go/go.sum -- go_write
part go-migrate "$here/fetch.sh" -- go_migrate
