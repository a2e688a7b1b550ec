#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Makes the guest's initial ramdisk: the agent as its first program, and the kernel modules it needs.
set -euo pipefail
# depmod and modprobe live in /usr/sbin, which is not on an ordinary user's PATH.
PATH=$PATH:/usr/sbin:/sbin

usage() {
    cat <<'TEXT'
usage: build-image.sh --agent PATH --output FILE [--modules DIR --release VERSION] [--driver NAME]...
  --agent PATH       kata-vfio-agent
  --output FILE      the image: [hypervisor.qemu] initrd of configuration.toml
  --modules DIR      the directory with lib/modules/VERSION, "/" for the running system's; without
                     it the kernel is one that has everything built in (qemu/guest-kernel)
  --release VERSION  which kernel, as its uname -r
  --driver NAME      a module for a device that is to be plugged, with what it needs: i915, bochs
TEXT
}
die() {
    printf 'build-image: %s\n' "$*" >&2
    exit 2
}

agent='' output='' modules='' release=''
drivers=()
while [ $# -gt 0 ]; do
    case $1 in
    --agent | --output | --modules | --release | --driver)
        [ $# -ge 2 ] || die "$1 wants a value"
        case $1 in
        --agent) agent=$2 ;;
        --output) output=$2 ;;
        --modules) modules=$2 ;;
        --release) release=$2 ;;
        --driver) drivers+=("$2") ;;
        esac
        shift 2
        ;;
    -h | --help)
        usage
        exit 0
        ;;
    *)
        usage >&2
        exit 2
        ;;
    esac
done
[ -n "$agent" ] && [ -n "$output" ] || { usage >&2; exit 2; }
[ -x "$agent" ] || die "$agent is no program"
! file_needs=$(ldd "$agent" 2>/dev/null) || [[ $file_needs == *"statically linked"* ]] ||
    die "$agent is not static, and nothing it needs would be in the image"
[ -z "$modules" ] || [ -d "$modules/lib/modules/$release" ] || die "no $modules/lib/modules/$release"
[ -n "$modules" ] || [ ${#drivers[@]} -eq 0 ] || die "--driver wants --modules"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
mkdir -p "$root"/{proc,sys,dev,run,mnt,lib/modules}
install -m 755 -s "$agent" "$root/init"

# Files of these modules and of what they need, in the order to load them.
files_of() {
    modprobe -d "$modules" -S "$release" -a --show-depends "$@" | sed -n 's/^insmod \([^ ]*\).*/\1/p' |
        awk '!seen[$0]++'
}
# What the agent can be reached by, for the shim, which looks it up before it starts QEMU.
transports=(virtio-serial vsock)
if [ -n "$modules" ]; then
    tree=$root/lib/modules/$release
    mkdir "$tree"
    # Loaded first; the others as the agent is told how it reaches its shim, and how its share.
    first=(virtio_pci)
    needed=("${first[@]}" virtio_console 9pnet_virtio 9p ${drivers[@]+"${drivers[@]}"})
    files=$(files_of "${needed[@]}") || die "a module of ${needed[*]} is not in $modules"
    files+=" $(files_of virtiofs 2>/dev/null || true)"
    # Where it is built in, nothing is to be copied.
    transport=$(files_of vmw_vsock_virtio_transport 2>/dev/null) || transports=(virtio-serial)
    files+=" ${transport:-}"
    for path in $files; do cp "$path" "$tree/"; done
    printf '%s\n' "${first[@]}" >"$tree/first"
    cp "$modules/lib/modules/$release"/modules.{order,builtin,builtin.modinfo} "$tree/"
    depmod -b "$root" "$release"
    # The agent reads the text forms alone.
    rm -f "$tree"/*.bin
fi
printf '%s\n' "${transports[@]}" >"$root/transports"
# Uncompressed: unpacking costs a guest more than loading the bytes.
(cd "$root" && find . | LC_ALL=C sort | cpio -o -H newc -R 0:0 --quiet) >"$work/image"
mkdir -p "$(dirname "$output")"
mv "$work/image" "$output.new"
mv -T "$output.new" "$output"
printf 'build-image: %s, %d KiB\n' "$output" $(($(stat -c %s "$output") / 1024))
