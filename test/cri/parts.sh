# SPDX-License-Identifier: Apache-2.0
# What the scenarios of this folder are run with, for `run` and `here`. Sourced by bash; sets bin, made, and
# by guest_parts SCENARIO the environment in the array parts.
top=$(cd "$here/../.." && pwd)
source "$here/documented.sh"
bin=$(readlink -f "${KATA_VFIO_BIN:-$top/build/release/bin}")
for program in containerd-shim-kata-vfio-v2 kata-vfio-agent kata-vfio; do
    [ -x "$bin/$program" ] || { echo "cri: no $bin/$program: build it (it needs protobuf-compiler)" >&2; exit 2; }
done
"$top/test/lab/lab" up
eval "$("$top/test/lab/lab" env)"
made=$(dirname "$bin")/cri
own=${KATA_VFIO_LAB_CACHE:-/var/cache/kata-vfio/lab}/guest-kernel/share/kata-containers/vmlinux-intel-gpu.container
own=${CRI_GUEST_KERNEL:-$own}
mkdir -p "$made"
"$here/make_image.py" "$made/tools.tar" localhost/tools:1
cd "$top"

# The options `run` and `here` share; scenarios is what is left.
if [ "${1:-}" = --suite ]; then
    CRI_CONTAINERD=$("$here/newer-containerd" "${2:-}")
    export CRI_CONTAINERD
    shift 2
fi
scenarios=("$@")

guest_parts() {
    local scenario=$1 kernel=$LAB_VMLINUX has_own=no
    local image=("$top/qemu/guest-image/build-image.sh" --agent "$bin/kata-vfio-agent" --output "$made/$1.cpio")
    # Debian's can be told to panic.
    if [ "$scenario" != crashes ] && [ -e "$own" ]; then
        kernel=$(readlink -f "$own") has_own=yes
        "${image[@]}"
    else
        # As docs/runtime.md has it, with the lab's kernel and its GPU.
        bash -c "$(documented build-image.sh | sed "s|/usr/libexec/kata-vfio/kata-vfio-agent|$bin/kata-vfio-agent|
            s|--modules /|--modules ${LAB_MODULES%/lib/modules}|; s|\"\$(uname -r)\"|$LAB_KVER|; s|i915|bochs|
            s|/usr/share/kata-containers/kata-vfio-initrd.img|$made/$scenario.cpio|")"
    fi
    parts=(CRI_KERNEL="$kernel" CRI_HAS_OWN_KERNEL=$has_own CRI_INITRD="$made/$scenario.cpio" CRI_IMAGE="$made/tools.tar"
        CRI_CONTAINERD="${CRI_CONTAINERD:-}" CRI_CRICTL="${CRI_CRICTL:-}" CRI_VICTIMS="${CRI_VICTIMS:-}" CRI_ROUNDS="${CRI_ROUNDS:-5}"
        CRI_LOAD="${CRI_LOAD:-3}" CRI_PATIENCE="${CRI_PATIENCE:-150}")
    [ "$scenario" != transport ] || parts+=(CRI_VIRTIOFSD="$("$here/newer-virtiofsd" || true)")
    [ "$scenario" = times ] || return 0
    # The first program of the boot that sandboxes are compared with: it ends the machine.
    rm -rf "$made/bare" && mkdir -p "$made/bare"
    gcc-12 -nostdlib -static -Os -o "$made/bare/init" "$here/bare_init.c"
    (cd "$made/bare" && echo init | cpio -o -H newc --quiet) >"$made/bare.cpio"
    parts+=(CRI_BARE="$made/bare.cpio")
}
