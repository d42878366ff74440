#!/usr/bin/env bash
# Builds the web applications of tests/e2e/skew/apps, each as v1 and v2, into target/apps. Does nothing when they are there and their sources are the same.
set -euo pipefail
cd "$(dirname "$0")/.."

# What a framework would tell its makers about a build is nobody's business here.
export NEXT_TELEMETRY_DISABLED=1
# Warnings of npm about itself or about its user's settings say nothing about the build.
npm=(npm --no-audit --no-fund --no-update-notifier --loglevel=error)

# server_of APP VERSION: puts what `npm run build` left in the current folder, and what its server needs, together as VERSION.
server_of() {
    case $1 in
    sveltekit)
        mv build "$2"
        # SvelteKit's output is made of modules, and has no word of that with it.
        printf '{"type":"module"}\n' >"$2/package.json"
        ;;
    next)
        # As in Next.js' own guide to standalone output: static files are for a CDN unless they are copied.
        cp -r .next/static .next/standalone/.next/static
        mv .next/standalone "$2"
        ;;
    esac
}

# One app: everything happens in a folder beside the result, which takes its place when all of it is there.
build() {
    local app=$1 source=tests/e2e/skew/apps/$1 into=target/apps/$1 work=target/apps/$1.work stamp
    stamp=$({ node --version && cat "$0" && cd "$source" && find . -type f -not -path '*/node_modules/*' -print0 | sort -z | xargs -0 sha256sum; } | sha256sum)
    [[ -e $into/stamp && $(<"$into/stamp") == "$stamp" ]] && return
    printf 'setup: building the %s app of tests/e2e/skew\n' "$app" >&2
    rm -rf "$into" "$work"
    mkdir -p target/apps
    cp -r "$source" "$work"
    (
        cd "$work"
        rm -rf node_modules
        "${npm[@]}" ci
        for version in v1 v2; do
            rm -rf build .next
            APP_VERSION=$version "${npm[@]}" run build
            server_of "$app" "$version"
        done
    ) >"$work.log" 2>&1 || { tail -n 30 "$work.log" >&2; return 1; }
    mkdir "$into"
    mv "$work/v1" "$work/v2" "$into"
    printf '%s\n' "$stamp" >"$into/stamp"
    rm -rf "$work"
}

# Beside each other: half of the time is spent waiting for the registry.
build sveltekit &
first=$!
build next
wait "$first"
