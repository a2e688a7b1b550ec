# SPDX-License-Identifier: Apache-2.0
# Shared by the scenarios: shows each command with its real answer, counts what was checked.
# Sourced by bash scripts that run in the lab (or on a host with a GPU).
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$here/../.." && pwd)
# KATA_VFIO_BIN: the folder with the kata-vfio under test.
KATA_VFIO_BIN=${KATA_VFIO_BIN:-$top/build/release/bin}
PATH=$KATA_VFIO_BIN:$top/test/lab:$PATH
export KATA_CONF_FILE=${KATA_CONF_FILE:-}

checked=0
wrong=0
declare -a faults=()
scenario_began=$SECONDS

title() { printf '\n\033[1m%s\033[0m\n' "$1" | if [ -t 1 ]; then cat; else sed 's/\x1b\[[0-9;]*m//g'; fi; }

# show CMD...: prints the command as a person would type it, runs it, shows its answer and keeps what
# it wrote to stdout in $answer; a failing command ends the scenario.
answer=
said=$(mktemp)
show() {
    printf '$ %s\n' "$*"
    run_shown "$@"
}
# The same for a shell line, with pipes.
show_line() {
    printf '$ %s\n' "$1"
    run_shown bash -o pipefail -c "$1"
}
run_shown() {
    local status=0
    answer=$("$@" 2>"$said") || status=$?
    { cat "$said"; [ -z "$answer" ] || printf '%s\n' "$answer"; } | sed 's/^/    /'
    if [ "$status" -ne 0 ]; then
        echo "scenario: this command failed with status $status, see above" >&2
        exit 1
    fi
}

pass() {
    checked=$((checked + 1))
    printf '  ok: %s\n' "$1"
}
fail() {
    checked=$((checked + 1))
    wrong=$((wrong + 1))
    faults+=("$1")
    printf '  WRONG: %s\n' "$1" >&2
}
# same WHAT WANTED FOUND
same() {
    if [ "$2" = "$3" ] && [[ $3 == *$'\n'* ]]; then
        pass "$1 is as it was before"
    elif [ "$2" = "$3" ]; then
        pass "$1 is '$3'"
    elif [[ $3 == *$'\n'* ]]; then
        fail "$1 differs (wanted, found):
$(diff <(printf '%s\n' "$2") <(printf '%s\n' "$3"))"
    else
        fail "$1 is '$3', it should be '$2'"
    fi
}
# has WHAT PART TEXT
has() {
    if [[ $3 == *"$2"* ]]; then pass "$1 has '$2'"; else fail "$1 lacks '$2': $3"; fi
}
lacks() {
    if [[ $3 != *"$2"* ]]; then pass "$1 has no '$2'"; else fail "$1 has '$2': $3"; fi
}

# refused STATUS NAME PART... -- kata-vfio WORD...: it must exit with STATUS, its error be of that name
# (docs/errors.md) and have each PART in what it says of its own: the request it repeats is not looked at.
refused() {
    local wanted=$1 name=$2 parts=() status=0 part said
    shift 2
    while [ "$1" != -- ]; do
        parts+=("$1")
        shift
    done
    shift
    printf '$ %s\n' "$*"
    [ "$1" = kata-vfio ] || { echo "scenario: refused wants kata-vfio, not '$1'" >&2; exit 1; }
    shift
    answer=$(kata-vfio --json "$@" 2>/dev/null) || status=$?
    same "exit status" "$wanted" "$status"
    same "the error" "$name" "$(json error.name)"
    json error.message | sed 's/^/    /'
    said=$(for part in problem said blocker remedy; do json error.$part; done)
    for part in "${parts[@]}"; do has "the error's text" "$part" "$said"; done
}

# field NAME: a top-level or first-attachment field of the JSON in $answer.
json() {
    python3 -c 'import json,sys
value = json.load(sys.stdin)
for key in sys.argv[1].split("."):
    value = value[int(key)] if isinstance(value, list) else value[key]
print("" if value is None else value)' "$1" <<<"$answer"
}

driver_of() { basename "$(readlink -e "/sys/bus/pci/devices/$1/driver" || echo none)"; }
override_of() { cat "/sys/bus/pci/devices/$1/driver_override"; }

# What a scenario must leave as it found it. Without a process: one costs up to a tenth of a second in the
# lab, and there would be a hundred. Called as $(host_picture), so that its cd and options end with it.
host_picture() { # [LEFT_OUT]: a folder of state that is not looked at
    local f driver text
    shopt -s nullglob globstar
    text=(/sys/bus/mdev/devices/*)
    echo "mdevs: ${text[*]##*/}"
    text=(/dev/vfio/*)
    echo "nodes: ${text[*]##*/}"
    for f in /sys/bus/pci/devices/*; do
        driver=none
        [ ! -e "$f/driver" ] || { cd -P "$f/driver" && driver=${PWD##*/}; }
        read -r text <"$f/driver_override"
        echo "${f##*/} $driver $text"
    done
    for f in /sys/class/mdev_bus/*/mdev_supported_types/*; do
        read -r text <"$f/available_instances"
        echo "$f $text"
    done
    # What is in the files as well: an attachment too many in a state.json is one.
    for f in /run/kata-vfio/*/**/*; do
        [[ ${f##*/} == lock || ${f##*/} == wire.log ]] && continue
        [[ -n ${1:-} && $f == "$1"/* ]] && continue
        text=
        [ ! -f "$f" ] || read -r -d '' text <"$f" || true
        echo "state: $f $text"
    done
}

finish() {
    printf '\n%d checked, %d wrong, in %d s\n' "$checked" "$wrong" $((SECONDS - scenario_began))
    for fault in "${faults[@]}"; do printf 'WRONG: %s\n' "$fault" >&2; done
    [ "$checked" -gt 0 ] && [ "$wrong" -eq 0 ]
}

# A configuration as Kata installs it: the key still commented out.
stock_configuration() {
    cat <<'TOML'
# Kata Containers configuration for QEMU.

[hypervisor.qemu]
path = "/usr/bin/qemu-system-x86_64"
kernel = "/usr/share/kata-containers/vmlinuz.container"
initrd = "/usr/share/kata-containers/kata-containers-initrd.img"
machine_type = "pc"
enable_annotations = []

# VFIO devices are hot-plugged on a bridge unless this is on; devices with large BARs need it.
# Default false
# hotplug_vfio_on_root_bus = true

[runtime]
vfio_mode = "guest-kernel"
TOML
}

# enabled_configuration DIR: one with hot-plug on the root bus, as $KATA_CONF_FILE.
enabled_configuration() {
    export KATA_CONF_FILE=$1/configuration.toml
    stock_configuration >"$KATA_CONF_FILE"
    kata-vfio config enable "$KATA_CONF_FILE" >/dev/null
}
library=$KATA_VFIO_BIN/../lib/libkata_vfio.so.1
# The socket of sandbox ID that is the product's.
monitor_of() { echo "${LAB_SANDBOX_DIR:-/run/lab/sandboxes}/$1/qmp.sock"; }

# Starts a kata-vfiod that serves at $address, in the scenario's $work; its pid is $daemon. It says when it
# serves, as it says to systemd: no waiting by the clock.
address=
daemon=
serve() {
    address=unix:$work/d.sock
    rm -f "$work/notify"
    coproc NOTIFIED { exec socat -u "UNIX-RECV:$work/notify" STDOUT; }
    local notifier=$NOTIFIED_PID line
    while [ ! -S "$work/notify" ]; do [ -d "/proc/$notifier" ] || return 1; done
    NOTIFY_SOCKET=$work/notify kata-vfiod --socket "$work/d.sock" >>"$work/log" 2>&1 &
    daemon=$!
    while IFS= read -r -t 60 line <&"${NOTIFIED[0]}"; do [ "$line" != READY=1 ] || break; done
    kill "$notifier"
    wait "$notifier" 2>/dev/null || true
    [ "${line:-}" = READY=1 ] || { cat "$work/log" >&2; return 1; }
}
