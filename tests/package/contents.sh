#!/usr/bin/env bash
# dpkg installs, upgrades, removes and purges the package in a root of its own, with a database of its own. What is
# there in between has the right modes, runs, and is what the sources say; afterwards nothing is left.
# shellcheck source=tests/package/support.sh
. "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/support.sh"

root=$scratch/root
mkdir -p "$root/var/lib/dpkg/info" "$root/var/lib/dpkg/updates" "$root/etc/systemd/system/multi-user.target.wants"
touch "$root/var/lib/dpkg/status"

# The scripts of the package respect DPKG_ROOT, so no chroot is needed; what it depends on is not in this root.
in_root() {
  dpkg --root="$root" --log="$scratch/dpkg.log" --force-script-chrootless --force-depends --force-not-root "$@" \
    >"$scratch/dpkg.out" 2>&1 || fail "dpkg $* failed:
$(<"$scratch/dpkg.out")"
}
tree() { (cd "$root" && find . -path ./var/lib/dpkg -prune -o -print | sort); }

modes() {
  local wrong
  # As the package has them: an installation without root gives all files to whoever makes it.
  wrong=$(dpkg-deb --contents "$deb" | awk '
    $2 != "root/root" { print; next }
    $6 == "./usr/bin/outboxd" { if ($1 != "-rwxr-xr-x") print; next }
    $6 == "./etc/outboxd/" { if ($1 != "drwx------") print; next }
    $6 ~ /^\.\/usr\/share\/doc\/.*\.sh$/ { if ($1 != "-rwxr-xr-x") print; next }
    $1 != "drwxr-xr-x" && $1 != "-rw-r--r--" && $1 != "lrwxrwxrwx"')
  expect_none 'wrong owner or mode' "$wrong"
}

files() {
  local file
  for file in usr/bin/outboxd etc/outboxd usr/share/man/man1/outboxd.1.gz usr/share/man/man5/outboxd.env.5.gz \
    usr/share/bash-completion/completions/outboxd usr/share/zsh/vendor-completions/_outboxd \
    usr/share/fish/vendor_completions.d/outboxd.fish usr/share/outboxd/outboxd.env \
    usr/share/doc/outboxd/{copyright,changelog.gz,changelog.Debian.gz,docs/operations/alerts.md,docs/reference/cli.md}; do
    [[ -e $root/$file ]] || fail "no /$file"
  done
  diff -r --exclude='*.txt' --exclude='*.cmake' --exclude='*.cpp' --exclude='*.hpp' --exclude=.gitattributes \
    "$source_dir/migrations" "$root/usr/share/outboxd/sql" || fail 'other SQL than in migrations/'
  cmp "$source_dir/deploy/prometheus/outboxd.rules.yml" "$root/usr/share/outboxd/prometheus/outboxd.rules.yml"
  cmp "$source_dir/deploy/grafana/outboxd-overview.json" "$root/usr/share/outboxd/grafana/outboxd-overview.json"
}

program() {
  local version binary=$root/usr/bin/outboxd
  version=$("$binary" version)
  [[ $version == "outboxd $(dpkg-deb --field "$deb" Version | sed 's/-[^-]*$//') ("* ]] || fail "it says $version"
  readelf --sections --wide "$binary" >"$scratch/sections"
  ! grep -q '\.debug_' "$scratch/sections" || fail 'it is not stripped'
  "$binary" config --reference example | cmp - "$root/usr/share/outboxd/outboxd.env"
}

# systemd's own opinion of the unit, of which it knows only the binary's place from the package.
unit() {
  local unit said
  unit=$(cd "$root" && find . -path '*/systemd/system/outboxd@.service')
  cmp "$source_dir/deploy/systemd/outboxd@.service" "$root/$unit"
  mkdir "$scratch/units"
  sed "s|^ExecStart=|&$root|" "$root/$unit" >"$scratch/units/outboxd@.service"
  # And of what docs/operations/installing.md puts beside it.
  mkdir "$scratch/units/outboxd@shop.service.d"
  awk '/^cat .*\/password.conf /, /^END$/' "$source_dir/docs/operations/installing.md" | sed '1d; $d' \
    >"$scratch/units/outboxd@shop.service.d/password.conf"
  expect_line '[Service]' "$(<"$scratch/units/outboxd@shop.service.d/password.conf")"
  said=$(SYSTEMD_UNIT_PATH=$scratch/units: systemd-analyze verify --man=no outboxd@shop.service 2>&1) ||
    fail "systemd-analyze verify: $said"
  expect_none 'systemd-analyze verify' "$said"
  grep -q '^Documentation=man:outboxd(1)$' "$root/$unit" || fail 'the unit does not name the manual'
}

# With what "systemctl enable outboxd@shop" makes, and settings of the operator's.
enabled() {
  ln -s /lib/systemd/system/outboxd@.service "$root/etc/systemd/system/multi-user.target.wants/outboxd@shop.service"
  touch "$root/etc/outboxd/shop.env"
}

before=$(tree)
in_root --install "$deb"
expect_line "Status: install ok installed" "$(<"$root/var/lib/dpkg/status")"
modes
files
python3 "$source_dir/tests/package/installed_links.py" "$root"
program
unit
enabled
in_root --install "$deb" # an upgrade, as far as dpkg and the scripts are concerned
[[ -e $root/etc/outboxd/shop.env ]] || fail 'an upgrade has taken the settings away'
in_root --remove outboxd
[[ ! -e $root/usr/bin/outboxd ]] || fail 'the program is still there'
[[ -e $root/etc/outboxd/shop.env ]] || fail 'the removal has taken the settings away'
rm "$root/etc/outboxd/shop.env"
in_root --purge outboxd
rmdir "$root/etc/outboxd" 2>/dev/null || true
diff <(echo "$before") <(tree) || fail 'something is left'
expect_none 'dpkg still knows it' "$(<"$root/var/lib/dpkg/status")"
