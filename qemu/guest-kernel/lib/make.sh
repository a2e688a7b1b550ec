# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2015,SC2034,SC2154 # die ends it; the parts of build-kernel.sh share variables
# The build itself: the same input gives the same bytes.

# Pinned, since each of them goes into the image. The time is the same for every build; the number of
# builds (KBUILD_BUILD_VERSION) would rise with each one that goes on in a tree.
pin_build() {
    export KBUILD_BUILD_USER=kata-vfio KBUILD_BUILD_HOST=kata-vfio KBUILD_BUILD_VERSION=1
    KBUILD_BUILD_TIMESTAMP=$(date -u -d "@${SOURCE_DATE_EPOCH:-1704067200}")
    export KBUILD_BUILD_TIMESTAMP
}

image_of() { # vmlinuz | vmlinux
    case $1 in
    vmlinuz) printf '%s\n' "$tree/arch/x86/boot/bzImage" ;;
    vmlinux) printf '%s\n' "$tree/vmlinux" ;;
    esac
}

build_tree() {
    local compiler=() from=$SECONDS
    need_packages "${build_tools[@]}" -- "${build_headers[@]}"
    take_work
    find_tree
    need_space "$work" 700 "the build"
    list_fragments
    if [[ $source_tree == "$work"/source/* ]]; then
        refuse_changed "$source_tree" "$source_tree.files" "$source_tree.origin" "setup -f unpacks it again"
    else
        refuse_changed "$source_tree" "$tree/source.files" "$tree/setup.env" "setup with its --sha256 proves it again, with another one -f begins again"
    fi
    [[ $(fragments_sum) == "$(<"$tree/fragments.sum")" ]] || {
        note "the fragments changed: making the .config again"
        merge_fragments
    }
    # An interrupted or edited .config does not go into the kernel unseen.
    cmp -s "$tree/.config" "$tree/.config.kept" || {
        note "$tree/.config was changed by hand: it is made from the fragments again (--fragment FILE adds options)"
        cp -p "$tree/.config.kept" "$tree/.config"
    }
    if command -v ccache >/dev/null && [[ ${KATA_VFIO_GUEST_KERNEL_CCACHE:-yes} == yes ]]; then
        export CCACHE_DIR=$work/ccache
        compiler=("CC=ccache gcc")
    fi
    pin_build
    rm -f "$tree/manifest.json"
    remove_half_written
    run_make "${compiler[@]}" bzImage
    prove_build
    write_manifest
    note "built in $((SECONDS - from)) s: $(image_of vmlinuz) ($(stat -c %s "$(image_of vmlinuz)") bytes), $(image_of vmlinux) ($(stat -c %s "$(image_of vmlinux)") bytes)"
}

# make removes the file it was writing when it is interrupted, and can't when it is killed: then a half is younger
# than what it is made of, and passes for whole. Of each step the .cmd is written after what it says, and the
# compiler's .d is taken away after the .cmd.
remove_half_written() {
    local file count=0
    while IFS= read -r file; do
        rm -f "$file" "${file%/*}/.${file##*/}.cmd" "${file%/*}/.${file##*/}.d"
        count=$((count + 1))
    done < <(find "$tree" -type f -printf '%T@ %p\n' | awk '
        {
            time = $1
            sub(/^[^ ]+ /, "")
            if (match($0, /\/\.[^\/]+\.cmd$/)) said[substr($0, 1, RSTART) substr($0, RSTART + 2, RLENGTH - 6)] = time
            else if (match($0, /\/\.[^\/]+\.o\.d$/)) left[substr($0, 1, RSTART) substr($0, RSTART + 2, RLENGTH - 4)] = 1
            else made[$0] = time
        }
        END { for (file in made) if (file in left || (file in said && made[file] > said[file])) print file }')
    ((count == 0)) || note "an earlier build was killed: making $count half-written files again"
}

run_make() { # ARGUMENT...
    local status=0
    kernel_make -j "${jobs:-$(nproc)}" "$@" 2>&1 | tee "$tree/build.log" | show_progress || status=$?
    ((status == 0)) && return
    grep -nE '(error|Error [0-9]+|No space left|Killed|undefined reference)' "$tree/build.log" | tail -n 15 >&2 || true
    die "make failed (above; all of it: $tree/build.log). After the cause is gone, build goes on from here"
}

# How far it is: one line every ten seconds, or one that is written over on a terminal. How many steps
# there will be is known from the last whole build, else estimated from one.
show_progress() {
    local line steps=0 total=2350 from=$SECONDS shown=$SECONDS every=10 end=$'\n' known=$tree/steps
    [[ ! -r $known ]] || total=$(<"$known")
    [[ ! -t 2 ]] || every=1 end=$'\r'
    while IFS= read -r line; do
        [[ $line =~ ^\ \ [A-Z]+ ]] || continue
        steps=$((steps + 1))
        ((SECONDS - shown >= every)) || continue
        shown=$SECONDS
        ((steps <= total)) || total=$steps
        printf '%s: %d of about %d steps, %d s: %-60.60s%s' "$program" $steps "$total" $((SECONDS - from)) "${line:2}" "$end" >&2
    done
    [[ ! -t 2 ]] || printf '%80s\r' '' >&2
    # A build that had little to do says nothing about how long a whole one is.
    ((steps <= total / 2)) || printf '%d\n' $steps >"$known"
}

# What was promised: the images are there, and their i915 is built in and drives the walkthrough's GPU.
prove_build() {
    local image
    for image in vmlinuz vmlinux; do
        [[ -s $(image_of $image) ]] || die "make ended well, but $(image_of $image) is not there"
    done
    # What the guest calls itself, and the folder its modules would be looked for in.
    local release
    release=$(<"$tree/include/config/kernel.release")
    [[ $release == "$kernel_version$suffix" ]] ||
        die "the kernel calls itself $release, and must be $kernel_version$suffix: a file localversion* in $tree or in the source goes into its name"
    grep -qzs '^i915\.license=' "$tree/modules.builtin.modinfo" ||
        die "i915 is not built in: it is not in $tree/modules.builtin.modinfo"
    if grep -qz '^i915\.alias=pci:v00008086d00001616' "$tree/modules.builtin.modinfo"; then
        note "i915 is built in, and its aliases have 8086:1616"
    elif takes_walkthroughs_gpu "$tree/drivers/gpu/drm/i915/i915_pci.o"; then
        note "i915 is built in, and its table of devices has 8086:1616"
    else
        die "the built-in i915 does not know 8086:1616: neither modules.builtin.modinfo nor the table of devices in drivers/gpu/drm/i915/i915_pci.o has it"
    fi
}

# Before 6.17 a built-in driver's aliases are not written down (MODULE_DEVICE_TABLE is empty without
# MODULE): then its `pciidlist`, struct pci_device_id of 40 bytes each, is what it goes by.
takes_walkthroughs_gpu() { # OBJECT
    local offset size table status=0
    read -r offset size < <(nm -S "$1" 2>/dev/null | awk '$4 == "pciidlist" { print $1, $2 }') || return 1
    table=$(mktemp)
    objcopy -O binary --only-section=.rodata "$1" "$table" &&
        od -An -v -tx4 -w40 -j "0x$offset" -N "$((16#$size))" "$table" | grep -q '^ *00008086 00001616 ' || status=1
    rm -f "$table"
    return $status
}

# The verb. The rules are kata-vfio's own: one implementation for `kata-vfio check --guest-kernel` and here.
check_kernel() {
    local command
    if [[ -z $kernel_file ]]; then
        find_tree
        kernel_file=$(image_of vmlinuz)
        [[ -e $kernel_file ]] || die "nothing is built in $tree: run build first, or name a file"
    fi
    command=${KATA_VFIO_BIN:+$KATA_VFIO_BIN/kata-vfio}
    command=${command:-$(command -v kata-vfio || true)}
    [[ -x $command ]] ||
        die "check is kata-vfio's (kata-vfio check --guest-kernel $kernel_file), which is not on the PATH: install it, or set KATA_VFIO_BIN to its folder"
    "$command" check --guest-kernel "$kernel_file"
}
