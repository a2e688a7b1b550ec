# SPDX-License-Identifier: Apache-2.0
# Shared by the scenarios of this folder: a containerd of their own, and what they look at.
# Sourced by bash scripts that run in the lab's L1. CRI_KERNEL, CRI_INITRD, CRI_IMAGE: test/cri/run.
# CRI_CONTAINERD: the folder of another containerd's programs than the system's.
# CRI_ACCEL=tcg: those without a device, on a machine without KVM.
cri=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$cri/../scenarios/lib.sh"
source "$cri/documented.sh"
[ -z "${CRI_CONTAINERD:-}" ] || PATH=$CRI_CONTAINERD:$PATH

image=localhost/tools:1
runtime=io.containerd.kata-vfio.v2
# A tmpfs: the overlay of L1's root can't carry another one.
place=/run/cri
mkdir -p $place/{etc,root,state}
export KATA_CONF_FILE=$place/etc/configuration.toml
export CONTAINERD_ADDRESS=$place/containerd.sock
# What protoc makes of cri.proto.
export CRI_MODULES=$place/modules
mkdir -p $CRI_MODULES
client() { "$cri/cri.py" "$@"; }
# How a pod asks for a device of its own.
asks=io.katacontainers.config.hypervisor

# That of the documentation, with the lab's kernel and image.
configuration() {
    documented 'hotplug_vfio_on_root_bus = true' |
        sed "s|^kernel = .*|kernel = \"$CRI_KERNEL\"|; s|^initrd = .*|initrd = \"$CRI_INITRD\"|"
    cat <<TOML
machine_accelerators = "${CRI_ACCEL:+accel=$CRI_ACCEL}"
path = "/usr/bin/qemu-system-x86_64"
default_memory = 256
enable_annotations = ["vgpu_type", "gpu"]
# The lab's guest is its own, and every trap costs emulated time; each byte on the serial line is one,
# so its console has warnings and what is worse alone.
kernel_params = "quiet nokaslr mitigations=off"
enable_debug = true

[agent.kata]
# A guest in an emulated machine, on a build machine that may have more to do.
dial_timeout = 250

[runtime]
enable_debug = true
TOML
}

# The documentation's lines for containerd: a drop-in of 2.x; 1.6 and 1.7 have them in the one file.
containerd_configuration() {
    local version=2 cri_plugin=io.containerd.grpc.v1.cri
    rm -rf $place/etc/conf.d && mkdir -p $place/etc/conf.d
    if [[ $(containerd --version) == *" v2."* || $(containerd --version) == */v2\ * ]]; then
        version=3 cri_plugin=io.containerd.cri.v1.runtime
        documented 'version = 3' | sed "s|/etc/kata-containers/configuration.toml|$KATA_CONF_FILE|" >$place/etc/conf.d/kata-vfio.toml
    fi
    cat <<TOML
version = $version
root = "$place/root"
state = "$place/state"
imports = ["$place/etc/conf.d/*.toml"]
[grpc]
  address = "$CONTAINERD_ADDRESS"
[plugins."io.containerd.internal.v1.opt"]
  path = "$place/opt"
[plugins."$cri_plugin"]
  restrict_oom_score_adj = true
  $([ $version = 3 ] || echo "sandbox_image = \"$image\"")
  [plugins."$cri_plugin".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
TOML
    if [ $version = 3 ]; then
        printf '[plugins."io.containerd.cri.v1.images".pinned_images]\n  sandbox = "%s"\n' "$image"
    else
        documented 'io.containerd.grpc.v1.cri' | sed "s|/etc/kata-containers/configuration.toml|$KATA_CONF_FILE|"
    fi
}

# start_containerd [WORD...]: below `env WORD...`.
start_containerd() {
    [ -d /sys/fs/cgroup/init.scope ] || mountpoint -q /sys/fs/cgroup || mount -t cgroup2 none /sys/fs/cgroup
    containerd_configuration >$place/etc/containerd.toml
    containerd --version
    env "$@" containerd -c $place/etc/containerd.toml >$place/containerd.log 2>&1 &
    containerd_pid=$!
    if until_holds 'ctr version >/dev/null 2>&1 && client pods >/dev/null 2>&1 || ! kill -0 $containerd_pid 2>/dev/null' &&
        kill -0 $containerd_pid 2>/dev/null; then
        return
    fi
    tail -n 20 $place/containerd.log >&2
    echo "cri: containerd does not serve" >&2
    exit 1
}

# What a sandbox has on the host beyond devices: processes, mounts, files.
sandbox_picture() {
    echo "processes: $(pgrep -fc 'qemu-system.*kata-vfio-|containerd-shim-kata-vfio|virtiofsd.*kata-vfio' || true)"
    echo "mounts: $(grep -cE "kata-vfio|$place/" /proc/self/mountinfo || true)"
    echo "places: $(ls /run/kata-vfio/vm 2>/dev/null | tr '\n' ' ')"
    echo "bundles: $(ls -d $place/state/io.containerd.runtime.v2.task/*/* 2>/dev/null | tr '\n' ' ')"
    echo "cgroups: $(ls -d /sys/fs/cgroup/{default,k8s.io}/*/ 2>/dev/null | tr '\n' ' ')"
}

# until_holds CONDITION [SECONDS]: whether it comes to hold in time (60 s). Asked ten times a second: what
# is waited for here tells nobody when it comes (containerd that it serves, ctr of a task that another ctr
# started, a shim that it has ended).
until_holds() {
    # By the clock: in the lab the asking itself may take a second.
    local end=$((SECONDS + ${2:-60}))
    until eval "$1"; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.1
    done
}
# The same, and a fault when it does not; SEEN is a command that shows what is so instead.
within() { # CONDITION [SECONDS [SEEN]]
    until_holds "$1" "${2:-60}" || fail "it never came to be that: $1${3:+; it is: $(eval "$3" 2>&1)}"
}
stopped() { within '[[ $(ctr task ls) == *STOPPED* ]]'; }

# settled WANTED: sandbox_picture, once it is that, or as it is after 20 s: a shim that was shut down
# ends after the client has its answer.
settled() {
    local picture wanted=$1
    until_holds 'picture=$(sandbox_picture); [ "$picture" = "$wanted" ]' 20 || true
    printf '%s\n' "$picture"
}

# status CMD...: runs it, shows it, and keeps its output in $answer and its exit status in $code.
status() {
    printf '$ %s\n' "$*"
    code=0
    answer=$("$@" 2>&1) || code=$?
    [ -z "$answer" ] || printf '%s\n' "$answer" | sed 's/^/    /'
}

# cri_cleanup: as the trap of EXIT.
cri_cleanup() {
    [ "$wrong" -eq 0 ] && [ "${finished:-}" = yes ] || cri_logs
    kill "${containerd_pid:-0}" 2>/dev/null || true
}

cri_logs() {
    echo "--- containerd and the shims, what is wrong"
    grep -E 'level=(warning|error)' $place/containerd.log | grep -v 'skip loading' | tail -n 200
    echo "--- the same, all of the end"
    grep -vE 'level=(info|debug).*(loading plugin|skip loading)' $place/containerd.log | tail -n 60
}
