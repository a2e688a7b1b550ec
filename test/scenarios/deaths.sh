# SPDX-License-Identifier: Apache-2.0
# kill -9 of the command line in the middle of something, and what has to be there after a reconcile.
# Sourced after lib.sh, with $work a folder of the scenario's and $before what host_picture gave. The
# sandbox is "crash".

tried=0
# killed WORD...: runs kata-vfio, which must be killed at $point.
killed() {
    local status=0
    # The braces take what bash has to say of its death.
    { KATA_VFIO_CRASH_AT=$point kata-vfio "$@" >"$work/said" 2>&1; } 2>/dev/null || status=$?
    [ $status -eq 137 ] && return
    fail "kata-vfio $* was not killed at $point: status $status, $(cat "$work/said")"
}
quietly() { "$@" >"$work/said" 2>&1 || fail "$*: $(cat "$work/said")"; }
start() { quietly sandbox start crash --ejector --memory 32; }
open() { quietly kata-vfio sandbox open crash --qmp "$(monitor_of crash)"; }
# QEMU lives on: what reconcile leaves is either all of the attachment or nothing of it.
whole() {
    local listed attachments
    listed=$(kata-vfio --json list crash)
    attachments=$(grep -o '"guest_address":"' <<<"$listed" | wc -l || true)
    same "what is on record and what QEMU has after $point" "$attachments" "$(devices_in crash)"
}
devices_in() {
    python3 -S - "$(dirname "$(monitor_of "$1")")/qmp-raw.sock" <<PY
import sys
sys.path.insert(0, "$top/test/lab")
from qmp import Qmp
with Qmp(sys.argv[1]) as qmp:
    print(sum(d["qdev_id"].startswith("vfio-") for bus in qmp.command("query-pci") for d in bus["devices"]))
PY
}
as_before() { # WHAT
    tried=$((tried + 1))
    local now
    now=$(host_picture)
    if [ "$now" = "$before" ]; then
        pass "$1"
    else
        fail "$1: the host differs:
$(diff <(echo "$before") <(echo "$now"))"
        # So that the next one is judged by itself.
        kata-vfio sandbox release crash >/dev/null 2>&1 || true
    fi
}

# at_each DEVICE POINT...: killed in an attach, QEMU dying too, and not.
at_each() {
    local device=$1 point
    shift
    for point in "$@"; do
        start
        open
        killed attach crash "$device"
        sandbox stop crash # SIGKILL
        quietly kata-vfio reconcile
        as_before "killed at $point of attaching $device, QEMU too"
    done
    start
    for point in "$@"; do
        open
        killed attach crash "$device"
        quietly kata-vfio reconcile
        whole
        quietly kata-vfio sandbox release crash
        as_before "killed at $point of attaching $device"
    done
    sandbox stop crash
}
detach_at_each() { # DEVICE POINT...
    local device=$1 point
    shift
    for point in "$@"; do
        start
        open
        quietly kata-vfio attach crash "$device"
        killed detach crash "$device"
        sandbox stop crash
        quietly kata-vfio reconcile
        as_before "killed at $point of detaching $device, QEMU too"
    done
}
