#!/usr/bin/env bash
# Builds the dashboard from dashboard/ into crates/control/dashboard, which is committed: cargo needs no node. With --check, only says whether the
# committed files are those that would be built.
set -euo pipefail
cd "$(dirname "$0")/../dashboard"

npm=(npm --no-audit --no-fund --no-update-notifier --loglevel=error)

# What is installed is what the lock says, or it is installed anew.
[[ -e node_modules/.package-lock.json && ! package-lock.json -nt node_modules/.package-lock.json ]] || "${npm[@]}" ci
"${npm[@]}" test
if [[ ${1-} == --check ]]; then
    built=$(mktemp -d)
    trap 'rm -rf "$built"' EXIT
    DASHBOARD_OUT=$built "${npm[@]}" run build
    diff --recursive "$built" ../crates/control/dashboard
else
    "${npm[@]}" run build
fi
