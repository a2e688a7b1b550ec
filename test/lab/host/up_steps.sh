# SPDX-License-Identifier: Apache-2.0
# The steps of `lab up`, one function per artefact: make_X TEMPORARY.

# `apt-get download` as root would drop to the user _apt, who cannot write here.
apt_get() { apt-get -q -o APT::Sandbox::User=root "$@"; }

refresh_package_lists() {
    echo "lab up: apt-get update" >&2
    apt_get update >&2 ||
        die "apt-get update failed (see above). Run it as root once, then \`lab up\` again."
}

# fetch DIR PACKAGE=VERSION...: the .deb files into DIR
fetch() {
    local into=$1
    shift
    mkdir -p "$into"
    (cd "$into" && apt_get download "$@" >&2) && return
    # A list older than the archive names files that are no longer there.
    refresh_package_lists
    (cd "$into" && apt_get download "$@" >&2) ||
        die "cannot download $*. If Debian has newer packages now, remove $cache/chosen and run \`lab up\` again."
}

unpack() { # DEB... INTO
    local into=${*: -1} deb
    mkdir -p "$into"
    for deb in "${@:1:$#-1}"; do dpkg-deb -x "$deb" "$into"; done
}

# linux-image-amd64 is a name for the newest real package: "linux-image-6.1.0-N-amd64 (= VERSION)".
choose_kernel() {
    local depends
    depends() { apt-cache show --no-all-versions linux-image-amd64 2>/dev/null | sed -n 's/^Depends: *//p'; }
    depends=$(depends)
    [[ -n $depends ]] || { refresh_package_lists; depends=$(depends); }
    [[ $depends =~ linux-image-(([0-9]+\.[0-9]+)[^ ]*-amd64)\ \(=\ ([^\)]+)\) ]] ||
        die "apt knows no linux-image-amd64 (Depends: '$depends'). The lab needs Debian 12 for amd64 with its main archive in /etc/apt."
    printf 'KVER=%s\nSERIES=%s\nDEBVER=%s\n' "${BASH_REMATCH[@]:1}" >"$1"
}

make_kernel() {
    fetch "$1.deb" "linux-image-$KVER=$DEBVER"
    unpack "$1".deb/*.deb "$1"
    rm -r "$1.deb"
}

make_headers() {
    fetch "$1.deb" "linux-headers-$KVER=$DEBVER" "linux-headers-${KVER%-amd64}-common=$DEBVER" \
        "linux-kbuild-$SERIES=$DEBVER"
    unpack "$1".deb/*.deb "$1"
    rm -r "$1.deb"
    # The only absolute path in them; where they are unpacked is where they are used.
    sed -i "s|/usr/src/|$headers/usr/src/|" "$1/usr/src/linux-headers-$KVER/Makefile"
}

# Drivers of samples/vfio-mdev as modules: mbochs (display GPU), mdpy (framebuffer), mtty (serial port).
make_samples() {
    fetch "$1.deb" "linux-source-$SERIES=$DEBVER"
    mkdir "$1"
    dpkg-deb --fsys-tarfile "$1".deb/*.deb | tar -xO "./usr/src/linux-source-$SERIES.tar.xz" |
        xz -dc -T0 | tar -x -C "$1" --strip-components=3 --wildcards '*/samples/vfio-mdev/*'
    echo 'obj-m := mbochs.o mdpy.o mtty.o' >"$1/Makefile"
    build_modules "$1" "the sample vGPU drivers do"
    rm -r "$1.deb"
}

# build_modules DIR WHO: out of tree, with the lab kernel's headers
build_modules() {
    make -C "$headers/usr/src/linux-headers-$KVER" M="$1" modules >"$1/build.log" 2>&1 ||
        { cat "$1/build.log" >&2; die "$2 not build (above). Are gcc-12, make, libelf1 installed?"; }
}

# lab_gvtg.ko, of the sources in this checkout: the stand-in for Intel GVT-g (gvtg/README.md).
make_gvtg() {
    mkdir "$1"
    cp "$lab"/gvtg/{Kbuild,*.[ch]} "$1/"
    build_modules "$1" "the GVT-g stand-in ($lab/gvtg) does"
}

make_modules() {
    local tree=$1/lib/modules/$KVER
    mkdir -p "$1/lib/modules"
    cp -al "$kernel/lib/modules/$KVER" "$tree"
    rm -f "$tree/build" "$tree/source"
    ln -s "$headers/usr/src/linux-headers-$KVER" "$tree/build"
    mkdir "$tree/extra"
    cp "$samples"/*.ko "$gvtg"/*.ko "$tree/extra/"
    depmod -b "$1" "$KVER"
}

make_vmlinux() { python3 -I "$lab/host/extract_vmlinux.py" "$kernel/boot/vmlinuz-$KVER" "$1"; }

# module_paths MODULE...: these and what they need, in the order to load them, into $paths
module_paths() {
    paths=$(modprobe -d "$modules" -S "$KVER" -a --show-depends "$@" | sed -n 's/^insmod \([^ ]*\).*/\1/p' |
        awk '!seen[$0]++') || die "a module of $* is not in $modules"
}

# pack DIR CPIO: uncompressed, because unpacking gzip costs more emulated time than loading the bytes
pack() {
    (cd "$1" && find . | cpio -o -H newc -R 0:0 --quiet) >"$2"
    rm -r "$1"
}

make_l1_initramfs() {
    local root=$1.root path paths
    mkdir -p "$root"/{bin,modules,proc,sys,dev,lower,upper,root}
    cp "$(command -v busybox)" "$root/bin/busybox"
    cp "$lab/l1/init" "$lab/l1/stage2" "$root/"
    chmod 755 "$root"/{init,stage2}
    module_paths virtio_pci virtio_console 9pnet_virtio 9p overlay
    for path in $paths; do
        cp "$path" "$root/modules/"
        basename "$path" >>"$root/modules/order"
    done
    pack "$root" "$1"
}

# The sandbox guest but for its drivers, into DIR.
l2_root() { # DIR
    local root=$1 path
    mkdir -p "$root"/{bin,etc,proc,sys,dev,tmp,run,usr/bin,lib/modules}
    cp "$(command -v busybox)" "$root/bin/busybox"
    for path in $("$root/bin/busybox" --list); do
        [[ -e $root/bin/$path ]] || ln -s busybox "$root/bin/$path"
    done
    cp "$lab"/l2/{agent,await,on-uevent} "$root/bin/"
    cp "$lab/l2/init" "$root/init"
    chmod 755 "$root/init" "$root"/bin/{agent,await,on-uevent}
    # The real lspci; without pci.ids it prints class and ids as numbers.
    cp "$(command -v lspci)" "$root/bin/lspci"
    for path in $(ldd "$(command -v lspci)" | grep -o '/[^ ]*'); do
        mkdir -p "$root$(dirname "$path")"
        cp -L "$path" "$root$path"
    done
}

make_l2_initramfs() {
    local root=$1.root path paths tree=$1.root/lib/modules/$KVER
    l2_root "$root"
    mkdir "$tree"
    # shellcheck disable=SC2086 # words
    module_paths virtio_pci virtio_console bochs e1000e nvme ${guest_drivers}
    for path in $paths; do cp "$path" "$tree/"; done
    module_paths virtio_pci virtio_console
    for path in $paths; do
        basename "$path" >>"$tree/first"
    done
    cp "$modules/lib/modules/$KVER"/modules.{order,builtin,builtin.modinfo} "$tree/"
    depmod -b "$root" "$KVER"
    pack "$root" "$1"
}

# For a kernel that has all of them built in: 4 MB less for the guest to unpack.
make_l2_builtin_initramfs() {
    l2_root "$1.root"
    pack "$1.root" "$1"
}

# A firmware image: 64 KiB, mapped below 4 GiB and 1 MiB.
make_ejector() {
    gcc-12 -m32 -c -o "$1.o" "$lab/l2/ejector.S"
    ld -m elf_i386 -Ttext=0 -e 0 --oformat binary -o "$1" "$1.o"
    rm "$1.o"
}
