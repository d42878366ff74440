#!/usr/bin/env bash
# Inside of a Debian that runs under systemd (scripts/trial.sh): installs the package, and tries what it and its units promise. Every line
# of its output is one promise.
set -uo pipefail

packages=/trial/packages
config=/etc/cutover/cutover.toml
overrides=/run/systemd/system/cutover.service.d
failed=0

# promise TEXT COMMAND…: whether the command succeeds.
promise() {
    local text=$1
    shift
    if "$@" >/trial/last 2>&1; then
        echo "ok    $text"
    else
        echo "FAILS $text"
        {
            cat /trial/last
            journalctl --unit cutover --lines 5 --output cat
        } | sed 's/^/      | /'
        failed=1
    fi
}

# within SECONDS COMMAND…: whether it succeeds by then.
within() {
    local until=$((SECONDS + $1))
    shift
    until "$@"; do
        ((SECONDS < until)) || return 1
        sleep 0.2
    done
}

# words AFTER…: compares what a command prints with what it is to print.
is() {
    local expected=$1
    shift
    local found
    found=$("$@")
    [[ $found == "$expected" ]] || {
        echo "is ${found:-nothing}, not $expected"
        return 1
    }
}

property() { systemctl show --property="$1" --value cutover.service; }
main_pid() { property MainPID; }
status_of() { sed -n "s/^$1:[[:space:]]*//p" "/proc/$(main_pid)/status"; }
get() { curl --silent --show-error --max-time 5 "http://127.0.0.1$1"; }
is_other_process() { [[ $1 != 0 && $(main_pid) != "$1" && $(main_pid) != 0 ]]; }
processes() { wc -l <"/sys/fs/cgroup/system.slice/cutover.service/cgroup.procs"; }
since_cursor() { journalctl --unit cutover --after-cursor "$cursor" --output cat; }
journal_says() { since_cursor | grep --quiet --fixed-strings -- "$1"; }
mark() { cursor=$(journalctl --unit cutover --lines 1 --show-cursor --output cat | sed -n 's/^-- cursor: //p'); }

override() {
    mkdir -p "$overrides"
    printf '[Service]\n%s\n' "$@" >"$overrides/trial.conf"
    systemctl daemon-reload
}

# A client that opens a connection for every request; what did not work is a line in `failures`.
load() {
    : >/trial/failures
    echo 0 >/trial/requests
    rm -f /trial/stop
    (
        count=0
        while [[ ! -e /trial/stop ]]; do
            said=$(get / 2>&1) && [[ $said == *v1* ]] || echo "$(date +%T.%N) $said" >>/trial/failures
            count=$((count + 1))
            echo $count >/trial/requests
        done
    ) &
    load=$!
}
load_ends() {
    touch /trial/stop
    wait "$load"
    local requests
    requests=$(cat /trial/requests)
    echo "$requests requests"
    ((requests > 20)) && [[ ! -s /trial/failures ]] || { head -5 /trial/failures; return 1; }
}

installs() {
    echo "# installation"
    promise "the package installs" dpkg --install "$packages/first.deb"
    promise "the service runs, and is enabled" systemctl is-active cutover --quiet
    promise "it is enabled" systemctl is-enabled cutover --quiet
    promise "it is ready when the installation is over" cutover status --ready
    promise "it has said that it is ready" is notify property Type
    promise "its main process is the one that serves" is "$(main_pid)" sh -c 'cutover status --json | sed -n "s/.*\"pid\": \([0-9]*\).*/\1/p"'
    promise "it runs as its own user" is cutover stat --format=%U "/proc/$(main_pid)"
    promise "its state is its own" is "700 cutover:cutover" stat --format="%a %U:%G" /var/lib/cutover
    promise "its logs can be read by its group" is "750 cutover:cutover" stat --format="%a %U:%G" /var/log/cutover
    promise "the configuration belongs to root" is "644 root:root" stat --format="%a %U:%G" $config
    promise "there are manual pages" man --where cutover cutover-deploy cutover-serve
    promise "bash completes" bash -c 'source /usr/share/bash-completion/completions/cutover && complete -p cutover'
    promise "the files are those of the package" dpkg --verify cutover
}

confined() {
    echo "# confinement"
    local exposure
    exposure=$(systemd-analyze security --no-pager cutover.service | tail -1)
    promise "${exposure#*→ }" systemd-analyze security --threshold=20 cutover.service
    promise "it can gain no privileges" is 1 status_of NoNewPrivs
    promise "its system calls are filtered" is 2 status_of Seccomp
    # CAP_NET_BIND_SERVICE is bit 10.
    promise "it has one capability" is 0000000000000400 status_of CapEff
    promise "it sees a system that can't be written to" sh -c "awk '\$5 == \"/usr\" || \$5 == \"/\" { print \$6 }' /proc/$(main_pid)/mountinfo | grep -q ^ro"
}

serves() {
    echo "# service"
    # Two app servers, outside of what is tried.
    systemd-run --quiet --unit app-a cutover demo-app --listen 127.0.0.1:3001 --version v1
    systemd-run --quiet --unit app-b cutover demo-app --listen 127.0.0.1:3002 --version v1
    sed -i 's/^bind = .*/bind = ["0.0.0.0:80", "[::]:80"]/' $config
    cat >>$config <<'TOML'
backends = [{ id = "a", address = "127.0.0.1:3001" }, { id = "b", address = "127.0.0.1:3002" }]
TOML
    promise "a restart takes a new port, below 1024" systemctl restart cutover
    promise "both servers get their traffic through it" within 10 sh -c 'curl --silent http://127.0.0.1/ | grep v1'

    printf '\n[[service]]\nname = "second"\nhosts = ["second.example"]\n' >>$config
    promise "a reload" systemctl reload cutover
    promise "… takes a new service" within 5 cutover services second
    mark
    cp $config /trial/good.toml
    echo 'nonsense = 1' >>$config
    promise "a reload of a wrong file" systemctl reload cutover
    promise "… is told in the journal, by file and line" within 5 journal_says "$config:"
    promise "… and changes nothing" within 1 get /
    cp /trial/good.toml $config
    systemctl reload cutover

    promise "the log is rotated" sh -c 'systemctl start logrotate && logrotate --force /etc/logrotate.d/cutover && ls /var/log/cutover/access.log.1'
    promise "… and goes on in a new file" within 5 sh -c 'curl --silent --output /dev/null http://127.0.0.1/ && test -s /var/log/cutover/access.log'
}

upgrades() {
    echo "# upgrades under load"
    local old
    load
    old=$(main_pid)
    systemctl kill --kill-whom=main --signal=USR2 cutover
    promise "SIGUSR2 makes another process the main one" within 20 is_other_process "$old"
    promise "the service is active all the while" is active property ActiveState
    old=$(main_pid)
    promise "cutover upgrade --wait" cutover upgrade --wait --timeout 60s
    promise "… does it too" is_other_process "$old"
    promise "the old processes end" within 20 is 1 processes

    old=$(main_pid)
    promise "a new package installs" dpkg --force-confdef --force-confold --install "$packages/second.deb"
    promise "… and its program has taken over when that is over" is_other_process "$old"
    promise "… from where it was installed" is /usr/bin/cutover readlink "/proc/$(main_pid)/exe"
    promise "the configuration is the one that was edited" cmp $config /trial/good.toml
    promise "the new one lies beside it" test -e $config.dpkg-dist

    old=$(main_pid)
    mark
    promise "a package whose program does not work" sh -c "dpkg --force-confdef --force-confold --install $packages/broken.deb 2>&1 | grep 'still runs the program from before'"
    promise "… changes nothing" is "$old" main_pid
    promise "… and the journal says why" journal_says upgrade
    promise "the next good one takes over" sh -c "dpkg --force-confdef --force-confold --install $packages/second.deb"
    promise "… in its turn" is_other_process "$old"
    promise "no request failed, and none was refused" load_ends
    promise "nothing was restarted" is 0 property NRestarts
}

restarts() {
    echo "# restarts"
    local old
    override "WatchdogSec=3s"
    promise "a restart with a shorter watchdog" systemctl restart cutover
    sleep 8
    promise "signs of life keep it alive" is 0 property NRestarts
    old=$(main_pid)
    mark
    kill -STOP "$old"
    promise "a process that hangs is replaced" within 30 is_other_process "$old"
    promise "… because of the watchdog" journal_says "Watchdog timeout"
    promise "… by one that serves" within 10 sh -c 'curl --silent http://127.0.0.1/ | grep v1'
    old=$(main_pid)
    kill -KILL "$old"
    promise "a process that is killed is replaced" within 10 is_other_process "$old"
    promise "… by one that serves" within 10 sh -c 'curl --silent http://127.0.0.1/ | grep v1'
}

activates() {
    echo "# sockets of systemd"
    systemctl stop cutover
    override "CapabilityBoundingSet=" "AmbientCapabilities="
    promise "the ports are opened without cutover" systemctl enable --now --quiet cutover.socket
    promise "… which does not run" is inactive property ActiveState
    promise "a client that comes starts it, and gets its answer" within 30 sh -c 'curl --silent http://127.0.0.1/ | grep v1'
    promise "… by IPv6 too" sh -c 'curl --silent "http://[::1]/" | grep v1'
    promise "it has no capability" is 0000000000000000 status_of CapEff
    load
    promise "restarts" sh -c 'for _ in 1 2 3; do systemctl restart cutover && sleep 1; done'
    local old
    old=$(main_pid)
    systemctl kill --kill-whom=main --signal=USR2 cutover
    promise "an upgrade" within 20 is_other_process "$old"
    promise "no client was refused" load_ends
}

leaves() {
    echo "# removal"
    promise "the package is removed" dpkg --remove cutover
    promise "nothing of it runs" sh -c '! systemctl is-active cutover.service cutover.socket && ! pgrep -u cutover'
    promise "configuration and state are kept" test -e $config -a -e /var/lib/cutover
    promise "it is purged" dpkg --purge cutover
    promise "nothing is left of it" sh -c '! ls -d /etc/cutover /etc/logrotate.d/cutover /var/lib/cutover /var/log/cutover /etc/systemd/system/*/cutover.* /usr/share/doc/cutover 2>/dev/null'
    rm -rf "$overrides"
    printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
    chmod 755 /usr/sbin/policy-rc.d
    promise "where services may not be started, it is installed" dpkg --install "$packages/first.deb"
    promise "… and not started" is inactive property ActiveState
}

installs
confined
serves
upgrades
restarts
activates
leaves
echo "exit $failed" >>/trial/log
exit $failed
