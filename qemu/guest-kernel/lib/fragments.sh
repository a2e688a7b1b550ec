# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2015,SC2034,SC2154 # die ends it; the parts of build-kernel.sh share variables
# The .config out of the fragments.

# The fragments in the order they are merged, into $fragments.
list_fragments() {
    local folder=${KATA_VFIO_GUEST_KERNEL_FRAGMENTS:-$here/fragments} name
    fragments=()
    for name in base container pc virtio gpu-intel gpu-lab vfio-in-guest $build_type; do
        fragments+=("$folder/$name.conf")
    done
    fragments+=("${extra_fragments[@]}")
    for name in "${fragments[@]}"; do
        [[ -r $name ]] || die "the fragment $name can't be read"
    done
    optional_list=$folder/optional.txt
}

# One line per requested option, into $1: NAME, VALUE and FILE:LINE between tabs, where VALUE is n for "is not set".
# Anything else in a fragment than options, comments and blank lines is an error.
list_options() { # OUT
    awk -v out="$1" '
        /^[ \t]*$/ { next }
        /^# CONFIG_[A-Za-z0-9_]+ is not set$/ { add($2, "n"); next }
        /^#/ { next }
        /^CONFIG_[A-Za-z0-9_]+=./ {
            at = index($0, "=")
            add(substr($0, 1, at - 1), substr($0, at + 1))
            next
        }
        { printf "%s:%d: neither an option nor a comment: %s\n", FILENAME, FNR, $0; bad = 1 }
        function add(name, value) {
            if (name in where && values[name] != value) {
                printf "%s:%d: %s=%s, but %s has %s\n", FILENAME, FNR, name, value, where[name], values[name]
                bad = 1
            }
            if (!(name in where)) {
                where[name] = FILENAME ":" FNR
                values[name] = value
                print name "\t" value "\t" where[name] >out
            }
        }
        END { exit bad }' "${fragments[@]}" >&2 || die "the fragments contradict themselves or are damaged (above)"
}

# What decides the .config, for `build` to see whether it is out of date.
fragments_sum() { cat "$here/config-version" "${fragments[@]}" "$tree/suffix.conf" | sha256sum | cut -d' ' -f1; }

kernel_make() {
    # LOCALVERSION empty: a source in git gets no "+" behind its version.
    make -C "$source_tree" O="$tree" ARCH=x86_64 LOCALVERSION= "$@"
}

# $tree/.config from the fragments; left alone, with its time, when it would be the same.
merge_fragments() {
    list_fragments
    # Not localversion*: the kernel takes the text of such a file into its own name.
    rm -f "$tree/localversion.conf"
    printf 'CONFIG_LOCALVERSION="%s"\n' "$suffix" >"$tree/suffix.conf"
    rm -f "$tree/options"
    list_options "$tree/options"
    # -m: only merge. The script itself would run make in the source, and leave its temporary file there.
    (cd "$tree" && ARCH=x86_64 sh "$source_tree/scripts/kconfig/merge_config.sh" -m -O "$tree" \
        "${fragments[@]}" "$tree/suffix.conf") >"$tree/merge.log" 2>&1 && [[ -s $tree/.config ]] ||
        { tail -n 20 "$tree/merge.log" >&2; die "the kernel's merge_config.sh failed (above; all of it: $tree/merge.log)"; }
    mv "$tree/.config" "$tree/.config.merged"
    kernel_make KCONFIG_ALLCONFIG="$tree/.config.merged" KCONFIG_CONFIG="$tree/.config.final" allnoconfig \
        >>"$tree/merge.log" 2>&1 ||
        { tail -n 20 "$tree/merge.log" >&2; die "make allnoconfig failed (above; all of it: $tree/merge.log)"; }
    prove_options "$tree/.config.final"
    if [[ -e $tree/.config.kept ]] && cmp -s "$tree/.config.final" "$tree/.config.kept"; then
        rm "$tree/.config.final"
    else
        mv "$tree/.config.final" "$tree/.config.kept"
    fi
    cp -p "$tree/.config.kept" "$tree/.config"
    fragments_sum >"$tree/fragments.sum"
}

# The verb.
configure_tree() {
    local before
    need_packages "${setup_tools[@]}"
    take_work
    find_tree
    before=$(mktemp)
    cp "$tree/.config.kept" "$before"
    merge_fragments
    if cmp -s "$before" "$tree/.config.kept"; then
        note "$tree/.config: nothing changed"
    else
        note "$tree/.config, what changed:"
        diff "$before" "$tree/.config.kept" | grep '^[<>].*CONFIG_' >&2 || true
    fi
    rm -f "$before"
    printf '%s\n' "$tree/.config"
}
