#!/usr/bin/env bash
# Makes what is released, in target/dist: scripts/package.sh dist|deb|check. The same commit gives the same bytes, wherever it is built.
set -euo pipefail
cd "$(dirname "$0")/.."

out=target/dist
stage=$out/stage
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
name=cutover-$version-$(uname -m)-linux-gnu

say() { printf 'package: %s\n' "$*" >&2; }
fail() {
    say "$*"
    exit 1
}

# What would tell one build from another: time, place, language, order, and who builds.
same_everywhere() {
    SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
    export SOURCE_DATE_EPOCH LC_ALL=C TZ=UTC CARGO_INCREMENTAL=0 CARGO_TARGET_DIR=$out
    umask 022
    local cargo_home=${CARGO_HOME:-$HOME/.cargo} sysroot
    sysroot=$(rustc --print sysroot)
    # Not in the environment of everyday builds: it would build everything anew.
    export RUSTFLAGS="--remap-path-prefix=$PWD=/src --remap-path-prefix=$cargo_home=/cargo --remap-path-prefix=$sysroot=/rust"
    export CFLAGS="-ffile-prefix-map=$PWD=/src -ffile-prefix-map=$cargo_home=/cargo"
}

build() {
    same_everywhere
    cargo build --release --locked --package cutover
    rm -rf "$stage"
    mkdir -p "$stage"/{bin,lib/systemd/system} "$stage"/share/{man/man1,bash-completion/completions,zsh/vendor-completions,fish/vendor_completions.d,doc/cutover}
    # The symbols are a file of their own, for those who look at a crash.
    objcopy --only-keep-debug "$out/release/cutover" "$out/$name.debug"
    strip --strip-all --remove-section=.comment -o "$stage/bin/cutover" "$out/release/cutover"
    local run=$stage/bin/cutover share=$stage/share
    "$run" man --dir "$share/man/man1"
    gzip -9n "$share"/man/man1/*.1
    "$run" completions bash >"$share/bash-completion/completions/cutover"
    "$run" completions zsh >"$share/zsh/vendor-completions/_cutover"
    "$run" completions fish >"$share/fish/vendor_completions.d/cutover.fish"
    "$run" check packaging/cutover.toml
    gzip -9nc CHANGELOG.md >"$share/doc/cutover/changelog.gz"
    debian_changelog >"$out/changelog.debian"
    python3 scripts/sbom.py >"$share/doc/cutover/cutover.cdx.json"
}

# What Debian wants to know of a package: that it is this version, by whom and of when.
debian_changelog() {
    local maintainer
    maintainer=$(sed -n 's/^maintainer = "\(.*\)"/\1/p' Cargo.toml)
    printf 'cutover (%s) stable; urgency=medium\n\n  * What has changed is in changelog.gz.\n\n -- %s  %s\n' \
        "$version-1" "$maintainer" "$(date --utc --rfc-email --date "@$SOURCE_DATE_EPOCH")"
}

tarball() {
    cp -r docs config README.md CHANGELOG.md LICENSE-APACHE LICENSE-MIT packaging/cutover.toml "$stage/share/doc/cutover/"
    mkdir -p "$stage/share/doc/cutover/docker"
    cp -r docker/prometheus docker/grafana "$stage/share/doc/cutover/docker/"
    cp packaging/systemd/* "$stage/lib/systemd/system/"
    tar --create --directory "$stage" --transform "s,^\.,$name," --sort=name --format=posix --mtime="@$SOURCE_DATE_EPOCH" \
        --owner=0 --group=0 --numeric-owner --mode=go=rX,u+rw --pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime . |
        gzip -9n >"$out/$name.tar.gz"
    cp "$stage/share/doc/cutover/cutover.cdx.json" "$out/$name.cdx.json"
}

deb() {
    local made
    rm -f "$out"/*.deb
    made=$(cargo deb --quiet --no-build --no-strip --locked --output "$out/")
    say "made $made"
    ! command -v lintian >/dev/null || lintian --fail-on error,warning --allow-root --tag-display-limit 0 "$made" || fail "lintian finds fault with the package"
}

sums() {
    (cd "$out" && sha256sum ./*.{tar.gz,debug,cdx.json,deb} | tee SHA256SUMS)
}

# The unit can be read by systemd and is confined; the Dockerfile follows the usual rules. What is not installed is left out.
check() {
    if command -v systemd-analyze >/dev/null; then
        local units
        units=$(mktemp -d)
        # shellcheck disable=SC2064 # now, while it is known
        trap "rm -rf '$units'" EXIT
        # Verified without an installed cutover.
        sed 's,/usr/bin/cutover,/bin/true,' packaging/systemd/cutover.service >"$units/cutover.service"
        cp packaging/systemd/cutover.socket "$units/"
        local said
        said=$(systemd-analyze verify --man=no "$units"/cutover.* 2>&1 | grep -F "$units" || true)
        [[ -z $said ]] || fail "$said"
        # Of 10: 2 is well confined.
        systemd-analyze security --offline=true --threshold=20 "$units/cutover.service" >"$units/said" || fail "the unit is exposed: $(tail -1 "$units/said")"
    fi
    ! command -v hadolint >/dev/null || hadolint docker/Dockerfile
    sh -n packaging/debian/postinst packaging/debian/prerm packaging/debian/postrm
}

case "${1-}" in
dist)
    rm -f "$out"/*.{deb,tar.gz,debug,json}
    build
    deb
    tarball
    sums
    ;;
deb)
    build
    deb
    ;;
check) check ;;
*) fail "usage: scripts/package.sh dist|deb|check" ;;
esac
