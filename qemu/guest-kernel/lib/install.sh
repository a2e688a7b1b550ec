# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2015,SC2034,SC2154 # die ends it; the parts of build-kernel.sh share variables
# Into DESTDIR/PREFIX/share/kata-containers, under the names the walkthrough has.

# stage SOURCE NAME: beside its place under a temporary name, unless its place has these bytes.
stage() {
    local temporary=$into/.$2.$$
    ! cmp -s "$1" "$into/$2" || return 0
    staged+=("$2")
    cp "$1" "$temporary" && chmod 644 "$temporary" && sync "$temporary" ||
        die "can't write $into/$2 (above); what was installed before is as it was"
}

# At the end, however it comes: after put_staged there is nothing to remove.
staged=()
remove_staged() {
    local name
    for name in "${staged[@]}"; do rm -f "$into/.$name.$$"; done
}

# Renamed, so that a sandbox that starts meanwhile reads the whole former one or the whole new one. A
# file of that name with other bytes is kept as NAME.former.
put_staged() {
    local name
    for name in "${staged[@]}"; do
        # A link, so that the name is never missing.
        [[ ! -e $into/$name ]] || ln -f "$into/$name" "$into/$name.former"
        mv -T "$into/.$name.$$" "$into/$name"
    done
}

install_images() {
    local image link
    into=$destdir$prefix/share/kata-containers
    find_tree
    list_fragments
    [[ -r $tree/manifest.json ]] || die "nothing is built in $tree: run $program -g intel build first"
    for image in vmlinuz vmlinux; do
        grep -q "\"$image\": \"$(sum_of "$(image_of $image)")\"" "$tree/manifest.json" ||
            die "$(image_of $image) is not what build made (manifest.json): run build again"
    done
    mkdir -p "$into" 2>/dev/null && [[ -w $into ]] ||
        die "can't write $into: run it as root (sudo -E $program -g intel install), or choose another folder with -d or -p"
    need_space "$into" 60 "the kernel"
    stage "$tree/.config" "config-$release"
    stage "$tree/manifest.json" "manifest-$release.json"
    stage "$(image_of vmlinux)" "vmlinux-$release"
    stage "$(image_of vmlinuz)" "vmlinuz-$release"
    put_staged
    # The links last: they name nothing that is not whole.
    for image in vmlinux vmlinuz; do
        link=$image$suffix.container
        ln -sfn "$image-$release" "$into/.$link.$$"
        mv -T "$into/.$link.$$" "$into/$link"
        printf '%s -> %s\n' "${into#"$destdir"}/$link" "$image-$release"
    done
    printf '\nIn configuration.toml, or by: kata-vfio config set-kernel %s\nkernel = "%s"\n' \
        "$prefix/share/kata-containers/vmlinuz$suffix.container" "$prefix/share/kata-containers/vmlinuz$suffix.container"
}
