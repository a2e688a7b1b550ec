# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2015,SC2034,SC2154 # die ends it; the parts of build-kernel.sh share variables
# The kernel's source: Debian's package, a tarball or a tree. Each is proved before it is used and is
# never written to: the build goes on in a tree beside it (make O=).

# `apt-get download` as root would drop to the user _apt, who cannot write here.
apt_get() { apt-get -q -o APT::Sandbox::User=root "$@"; }

setup_tree() {
    local debian=()
    [[ -n $source_path ]] || debian=("${debian_tools[@]}")
    need_packages "${debian[@]}" "${setup_tools[@]}" "${build_tools[@]}" -- "${build_headers[@]}"
    take_work
    if [[ -z $source_path ]]; then
        choose_debian
    elif [[ -d $source_path ]]; then
        prove_tree
    else
        prove_tarball
    fi
    kernel_version=$(version_of "$source_tree")
    config_version=$(<"$here/config-version")
    tree=$work/build/$kernel_version-$config_version$suffix
    if [[ -e $tree/setup.env && $force == no ]]; then
        # shellcheck source=/dev/null
        [[ $(. "$tree/setup.env" && printf '%s' "$source_hash") == "$source_hash" ]] ||
            die "$tree is set up from $(. "$tree/setup.env" && printf '%s' "$source_origin"), not from $source_origin: -f begins again with the latter"
        keep_given_files
        ln -sfn "${tree##*/}" "$work/build/${suffix#-}.current"
        note "$tree is set up already (from $source_origin); -f begins again"
        return
    fi
    need_space "$work" 1200 "the build"
    rm -rf "$tree"
    mkdir -p "$tree"
    merge_fragments
    keep_given_files
    printf '%s=%q\n' source_tree "$source_tree" source_origin "$source_origin" source_hash "$source_hash" \
        kernel_version "$kernel_version" config_version "$config_version" >"$tree/setup.env.new"
    mv "$tree/setup.env.new" "$tree/setup.env"
    ln -sfn "${tree##*/}" "$work/build/${suffix#-}.current"
    note "Linux $kernel_version from $source_origin is set up in $tree"
}

version_of() { # SOURCE
    [[ -r $1/Makefile && -r $1/Kconfig && -r $1/scripts/kconfig/merge_config.sh ]] ||
        die "$1 is no Linux source: Makefile, Kconfig or scripts/kconfig/merge_config.sh is not in it"
    awk -F' *= *' '
        $1 ~ /^(VERSION|PATCHLEVEL|SUBLEVEL|EXTRAVERSION)$/ { v[$1] = $2 }
        $1 == "NAME" { exit }
        END { printf "%s.%s.%s%s\n", v["VERSION"], v["PATCHLEVEL"], v["SUBLEVEL"], v["EXTRAVERSION"] }' "$1/Makefile"
}

# Each file's name, size, time and, of a link, where to: what can be had without reading them all. An edit that
# keeps the size and sets the time back is not seen.
list_files() { # SOURCE
    (cd "$1" && find . -path ./.git -prune -o ! -type d ! -name '.tmp.config.*' -printf '%P\t%s\t%T@\t%l\n' | sort)
}

# The first file of a source that is not as it was listed; of a source without a list, from before there were
# lists, one that is younger than its stamp.
changed_file() { # SOURCE LIST STAMP
    if [[ -e $2 ]]; then
        list_files "$1" | comm -3 - "$2" | awk -F '\t' 'NR == 1 { print ($1 != "" ? $1 : $2) }'
    else
        find "$1" -path "$1/.git" -prune -o -type f -newer "$3" ! -name '.tmp.config.*' -printf '%P\n' -quit
    fi
}

# Somebody was at work in it, or took something away.
refuse_changed() { # SOURCE LIST STAMP REMEDY
    local changed
    changed=$(changed_file "${@:1:3}")
    [[ -z $changed ]] || die "the source was changed after it was proved: $1/$changed. $4"
}

# --- Debian's package

choose_debian() {
    local package wanted deb sum
    case $version in
    '') package=$(apt-cache show --no-all-versions linux-source 2>/dev/null |
        sed -n 's/^Depends: *\(linux-source-[0-9.]*\).*/\1/p' || true) ;;
    *) package=linux-source-$(cut -d. -f1,2 <<<"${version%%[-+~]*}") ;;
    esac
    [[ -n $package ]] ||
        die "apt knows no linux-source: it needs Debian's main archive in /etc/apt and an apt-get update (or give a source with --source and --sha256)"
    # Version and SHA256 of the candidate, or of the version that was asked for.
    wanted=$(apt-cache show "$package" 2>/dev/null | awk -v want="$version" '
        $1 == "Version:" { v = $2 }
        $1 == "SHA256:" && !done && (want == "" || v == want || index(v, want "-") == 1 || index(v, want ".") == 1) { print v, $2; done = 1 }' || true)
    [[ -n $wanted ]] ||
        die "apt has no $package${version:+ for -v $version}; it has: $(apt-cache madison linux-source 2>/dev/null | awk '{print $3}' | sort -uV | tr '\n' ' '). After an apt-get update it may have others"
    sum=${wanted#* } wanted=${wanted% *}
    source_tree=$work/source/linux-$wanted
    source_origin="Debian's $package $wanted" source_hash=$sum
    if [[ -e $source_tree.origin && -d $source_tree ]]; then
        [[ $(<"$source_tree.origin") == "$source_origin $source_hash" ]] ||
            die "$source_tree is from $(<"$source_tree.origin"), not from $source_origin $source_hash: remove it"
        refuse_changed_or_unpack_again && return
    fi
    need_space "$work" 3000 "the source and the build"
    deb=$work/download/${package}_${wanted//:/%3a}_all.deb
    if [[ -e $deb ]] && ! sha256sum --status -c - <<<"$sum  $deb"; then
        note "$deb is not what apt's list says (truncated?): fetching it again"
        rm "$deb"
    fi
    [[ -e $deb ]] || {
        note "fetching $package $wanted (140 MB)"
        (cd "$work/download" && apt_get download "$package=$wanted" >&2) ||
            die "apt-get can't download $package=$wanted (above): after an apt-get update it may"
        sha256sum --status -c - <<<"$sum  $deb" || die "$deb is not what apt's list says: sha256 must be $sum"
    }
    unpack_into "$source_tree" debian_tar "$deb"
}

refuse_changed_or_unpack_again() {
    local known=("$source_tree" "$source_tree.files" "$source_tree.origin")
    if [[ $force == yes && -n $(changed_file "${known[@]}") ]]; then
        note "the source was changed after it was unpacked: unpacking it again"
        return 1
    fi
    refuse_changed "${known[@]}" "setup -f unpacks it again"
}

debian_tar() { # DEB
    dpkg-deb --fsys-tarfile "$1" | tar -xO --wildcards './usr/src/linux-source-*.tar.xz' | xz -dc -T0
}

# --- a tarball, or a tree

plain_tar() { # TARBALL
    case $1 in
    *.tar.xz) xz -dc -T0 "$1" ;;
    *.tar.gz | *.tgz) gzip -dc "$1" ;;
    *.tar) cat "$1" ;;
    *) return 1 ;;
    esac
}

prove_tarball() {
    local sum
    [[ -r $source_path ]] || die "--source $source_path: no such file, or not readable"
    [[ $source_path =~ \.(tar|tar\.xz|tar\.gz|tgz)$ ]] || die "--source $source_path: must be a folder, .tar, .tar.xz or .tar.gz"
    sum=$(sha256sum <"$source_path")
    sum=${sum%% *}
    [[ $sum == "$source_sum" ]] ||
        die "--source $source_path ($(stat -c %s "$source_path") bytes) is not what --sha256 says (truncated, or another one?): it has $sum"
    source_tree=$work/source/tarball-${sum:0:16}
    source_origin="the tarball ${source_path##*/}" source_hash=$sum
    if [[ -e $source_tree.origin && -d $source_tree ]]; then
        refuse_changed_or_unpack_again && return
    fi
    unpack_into "$source_tree" plain_tar "$source_path"
}

# A tree's own sum: over the sums of its files, by name. What git and make leave in it does not count.
tree_sum() { # TREE
    (cd "$1" && find . -path ./.git -prune -o -type f -print0 | sort -z | xargs -0 sha256sum) | sha256sum | cut -d' ' -f1
}

prove_tree() {
    local sum dirty
    source_tree=$(readlink -f "$source_path")
    version_of "$source_tree" >/dev/null
    for dirty in .config include/config arch/x86/include/generated; do
        [[ ! -e $source_tree/$dirty ]] ||
            die "--source $source_path was built in ($dirty is there), so nothing can be built beside it: make mrproper in it"
    done
    # Before they are read: what is changed meanwhile is not as listed.
    list_files "$source_tree" >"$work/source/given.files"
    sum=$(tree_sum "$source_tree")
    [[ $sum == "$source_sum" ]] ||
        die "--source $source_path is not what --sha256 says (changed?): it has $sum, by: (cd $source_path && find . -path ./.git -prune -o -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum) | sha256sum"
    source_origin="the tree ${source_tree##*/}" source_hash=$sum
}

# What prove_tree listed belongs to the build tree.
keep_given_files() { [[ ! -d $source_path ]] || mv "$work/source/given.files" "$tree/source.files"; }

unpack_into() { # TREE FUNCTION FILE
    local temporary=$1.new from=$SECONDS
    note "unpacking ${3##*/}"
    # What a killed run left.
    rm -rf "$temporary" "$1" "$1.origin" "$1.files"
    mkdir -p "$temporary"
    "$2" "$3" | tar -x --strip-components=1 --no-same-owner -C "$temporary" ||
        die "$3 can't be unpacked (above): damaged, no tarball, or the disk is full ($(df --output=avail -BM "$work" | tail -n 1 | tr -d ' ') left)"
    version_of "$temporary" >/dev/null
    mv "$temporary" "$1"
    list_files "$1" >"$1.files"
    # Written last: with it the source is whole.
    printf '%s %s\n' "$source_origin" "$source_hash" >"$1.origin"
    note "unpacked in $((SECONDS - from)) s"
}
