# SPDX-License-Identifier: Apache-2.0
# `lab up`: fetch and build what the lab needs into $KATA_VFIO_LAB_CACHE.
# Every artefact is made under a temporary name and renamed, and named after what
# it was made from; a run that was killed is resumed by the next one. lab.env is
# written last and says that the cache is complete.
set -euo pipefail
# depmod and modprobe live in /usr/sbin, which is not on an ordinary user's PATH.
PATH=$PATH:/usr/sbin:/sbin
umask 022

lab=$(dirname "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")")
cache=${KATA_VFIO_LAB_CACHE:-/var/cache/kata-vfio/lab}
started=$EPOCHREALTIME
. "$lab/host/up_steps.sh"

die() { printf 'lab up: %s\n' "$*" >&2; exit 1; }

# seconds START: since an earlier value of EPOCHREALTIME, one decimal
seconds() { awk -v a="$1" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }'; }

# step NAME ARTEFACT FUNCTION: make ARTEFACT by `FUNCTION TEMPORARY` unless it is there
step() {
    local name=$1 artefact=$2 make=$3 from=$EPOCHREALTIME temporary
    [[ -e $artefact ]] && return
    temporary=$cache/tmp/$(basename "$artefact")
    printf 'lab up: %s ...\n' "$name" >&2
    "$make" "$temporary"
    mv -T "$temporary" "$artefact"
    printf 'lab up: %s: %s s\n' "$name" "$(seconds "$from")" >&2
}

# Drivers the sandbox guest has besides those of the lab's own devices: a real GPU's (test/demo --host).
guest_drivers=${KATA_VFIO_LAB_GUEST_DRIVERS:-}
# The recipe is everything that decides what the cache holds.
recipe=$({
    cat "$lab"/host/up.sh "$lab"/host/up_steps.sh "$lab"/host/extract_vmlinux.py "$lab"/l1/* "$lab"/l2/*
    cat "$lab"/gvtg/{Kbuild,*.[ch]}
    echo "$guest_drivers"
} | sha256sum | cut -c1-16)
complete() { [[ -r $cache/lab.env ]] && grep -qx "LAB_RECIPE=$recipe" "$cache/lab.env"; }
complete && exit 0

missing=()
for tool in apt-get apt-cache dpkg-deb depmod modprobe cpio xz make gcc-12 ld flock python3 lspci ldd \
    busybox qemu-system-x86_64; do
    command -v "$tool" >/dev/null || missing+=("$tool")
done
((${#missing[@]} == 0)) || die "not installed: ${missing[*]}. Install the packages named in $lab/packages.txt (test/setup does)."
[[ $cache == /* && $cache != *[[:space:]]* ]] ||
    die "KATA_VFIO_LAB_CACHE='$cache' must be an absolute path without white space (the kernel's build needs that)."
mkdir -p "$cache" 2>/dev/null && [[ -w $cache ]] ||
    die "cannot write the cache folder $cache. Run as root, or set KATA_VFIO_LAB_CACHE to a folder you own."

exec 9>"$cache/lock"
if ! flock -n 9; then
    echo "lab up: another \`lab up\` is at work in $cache, waiting for it" >&2
    flock 9
    complete && exit 0
fi
# Under the lock nobody else owns these: they are what a killed run left.
rm -rf "$cache/tmp"
mkdir "$cache/tmp"

step "choosing the kernel" "$cache/chosen" choose_kernel
. "$cache/chosen" # KVER=6.1.0-N-amd64 DEBVER=6.1.N-N SERIES=6.1
base=$cache/$KVER-$DEBVER
kernel=$base.kernel headers=$base.headers samples=$base.samples vmlinux=$base.vmlinux
gvtg=$base.gvtg-$(cat "$lab"/gvtg/{Kbuild,*.[ch]} | sha256sum | cut -c1-16)
modules=${gvtg/.gvtg-/.modules-}
step "kernel $KVER $DEBVER (70 MB)" "$kernel" make_kernel
step "kernel headers (14 MB)" "$headers" make_headers
step "vGPU sample drivers (source: 140 MB)" "$samples" make_samples
step "the GVT-g stand-in" "$gvtg" make_gvtg
step "module tree" "$modules" make_modules
step "vmlinux for PVH boot" "$vmlinux" make_vmlinux
step "initramfs of L1" "$base.l1-$recipe.cpio" make_l1_initramfs
step "initramfs of the sandbox guest" "$base.l2-$recipe.cpio" make_l2_initramfs
step "the same without modules" "$base.l2-builtin-$recipe.cpio" make_l2_builtin_initramfs
step "the ejecting guest" "$base.ejector-$recipe.bin" make_ejector

cat >"$cache/tmp/lab.env" <<TEXT
LAB_RECIPE=$recipe
LAB_KVER=$KVER
LAB_VMLINUX=$vmlinux
LAB_VMLINUZ=$kernel/boot/vmlinuz-$KVER
LAB_BOOT=$kernel/boot
LAB_MODULES=$modules/lib/modules
LAB_HEADERS=$headers/usr/src/linux-headers-$KVER
LAB_L1_INITRAMFS=$base.l1-$recipe.cpio
LAB_L2_INITRAMFS=$base.l2-$recipe.cpio
LAB_L2_BUILTIN_INITRAMFS=$base.l2-builtin-$recipe.cpio
LAB_EJECTOR=$base.ejector-$recipe.bin
TEXT
mv "$cache/tmp/lab.env" "$cache/lab.env"
printf 'lab up: ready in %s s, %s\n' "$(seconds "$started")" "$cache" >&2
