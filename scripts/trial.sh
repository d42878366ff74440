#!/usr/bin/env bash
# Installs the package of `make deb` in a Debian of its own, under a systemd of its own, and tries what it promises: tests/package/trial.sh.
# Needs root: the system is a directory with namespaces around it (debootstrap, systemd-nspawn). It has no network but a loopback.
set -euo pipefail
cd "$(dirname "$0")/.."

base=$PWD/target/trial/debian
trial=$PWD/target/trial/run
debian=bookworm

say() { printf 'trial: %s\n' "$*" >&2; }
fail() {
    say "$*"
    exit 1
}

((EUID == 0)) || fail "only root can start a system; run: sudo make trial"
package=$(ls target/dist/cutover_*.deb 2>/dev/null) || fail "there is no package; run: make deb"

# Once: what Debian calls minimal, and what the package depends on.
if [[ ! -e $base/.complete ]]; then
    say "fetching Debian $debian into $base"
    rm -rf "$base"
    debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus,adduser,ca-certificates,curl,procps,man-db,logrotate,bash-completion "$debian" "$base" >/dev/null
    # Manual pages are left out of small images only.
    touch "$base/.complete"
fi

# The same package as another release with another default configuration, and as one whose program ends at once.
rm -rf "$trial"
mkdir -p "$trial/packages" "$trial/made"
cp "$package" "$trial/packages/first.deb"
for kind in second broken; do
    made=$trial/made/$kind
    dpkg-deb --raw-extract "$package" "$made"
    sed -i "s/^Version: .*/&+$([[ $kind == second ]] && echo 2 || echo 1)/" "$made/DEBIAN/control"
    echo "# of another release" >>"$made/etc/cutover/cutover.toml"
    [[ $kind == second ]] || printf '#!/bin/sh\necho broken >&2\nexit 1\n' >"$made/usr/bin/cutover"
    (cd "$made" && find . -type f -not -path './DEBIAN/*' -printf '%P\0' | xargs -0 md5sum >DEBIAN/md5sums)
    dpkg-deb --build --root-owner-group -Zxz -z1 "$made" "$trial/packages/$kind.deb" >/dev/null
done
cp tests/package/trial.sh "$trial/"
: >"$trial/log"
: >"$trial/console"

# What is written to the system is forgotten with it.
SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 timeout --kill-after=10 900 script --quiet --flush --return --command "systemd-nspawn --quiet --directory='$base' --volatile=overlay --machine=cutover-trial \
    --register=no --keep-unit --private-network --bind='$trial:/trial' --bind-ro='$PWD/tests/package/trial.service:/etc/systemd/system/trial.service' \
    --boot systemd.wants=trial.service" "$trial/console" </dev/null >/dev/null &
system=$!
tail --pid=$system --follow --lines=+1 "$trial/log" | grep --invert-match '^exit '
wait $system || true
grep --quiet '^exit 0$' "$trial/log" || fail "it did not do what it promises (or did not start: $trial/console)"
