# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2015,SC2034,SC2154 # die ends it; the parts of build-kernel.sh share variables
# Where things are kept. Below the work folder:
#   download/                         Debian's packages
#   source/NAME, source/NAME.origin   an unpacked source and what it is (source.sh)
#   source/NAME.files                 its files; of a source that was given: source.files in the build tree
#   build/VERSION-CONFIG-intel-gpu    a build tree; setup writes its setup.env last
#   build/intel-gpu.current           link to the tree that setup made last
#   ccache/                           compiled files, when ccache is installed

system_work=/var/cache/kata-vfio/guest-kernel

# The folder that is used, into $work. What `setup` made as an ordinary user has to be found by the
# `install` that runs under sudo.
find_work() {
    local home folder link time newest=0 candidates=()
    work=${work:-${KATA_VFIO_GUEST_KERNEL_CACHE:-}}
    if [[ -z $work ]]; then
        home=${HOME:-/root}
        [[ -z ${SUDO_USER:-} ]] || home=$(getent passwd "$SUDO_USER" | cut -d: -f6) || true
        candidates=("$system_work" "$home/.cache/kata-vfio/guest-kernel")
        # The tree that was set up last; another user's will do for what only reads it.
        for folder in "${candidates[@]}"; do
            link=$folder/build/${suffix#-}.current
            [[ -L $link ]] && [[ -w $folder/build || $verb == install || $verb == check ]] || continue
            time=$(stat -c %Y "$link")
            if ((time >= newest)); then
                newest=$time work=$folder
            fi
        done
        if [[ -z $work ]]; then
            work=${candidates[0]}
            mkdir -p "$work" 2>/dev/null && [[ -w $work ]] && [[ ! -e $work/build || -w $work/build ]] || work=${candidates[1]}
        fi
    fi
    [[ $work != *[[:space:]:]* ]] ||
        die "the work folder '$work' has white space or a colon in its name, which the kernel's make can't do: give another with -w"
    work=$(readlink -m "$work")
}

# The work folder is there, ours to write, and nobody else's while we are at it.
take_work() {
    find_work
    mkdir -p "$work"/{download,source,build} 2>/dev/null && [[ -w $work/build ]] ||
        die "can't write the work folder $work: give one you own with -w, or run as its owner"
    exec 9>"$work/lock"
    if ! flock -n 9; then
        note "another $program is at work in $work: waiting for it"
        flock 9
    fi
}

need_space() { # FOLDER MEGABYTES WHAT-FOR
    local free
    free=$(df --output=avail -B1M "$1" | tail -n 1)
    ((free >= ${KATA_VFIO_GUEST_KERNEL_NEEDS_MB:-$2})) ||
        die "$1 has $((free)) MB free, $3 needs ${KATA_VFIO_GUEST_KERNEL_NEEDS_MB:-$2} MB: make room, or choose another folder with -w"
}

# The build tree that the words mean, into $tree, with what setup wrote into it: source_tree,
# source_origin, source_hash, kernel_version, config_version.
find_tree() {
    local found=() folder name wanted configs
    configs=$(<"$here/config-version")
    find_work
    if [[ -n $version ]]; then
        # Debian's revision is not in the tree's name. 6.1 is 6.1.192, and is not 6.12.
        wanted=${version%%-*}
        for folder in "$work/build/"*"-$configs$suffix"; do
            name=${folder##*/}
            name=${name%"-$configs$suffix"}
            [[ $name != "$wanted" && $name != "$wanted"[.~+-]* ]] || found+=("${folder##*/}")
        done
        ((${#found[@]} <= 1)) || die "-v $version means several trees, say which: ${found[*]}"
        tree=${found[0]:+$work/build/${found[0]}}
    else
        tree=$(readlink -f "$work/build/${suffix#-}.current" || true)
    fi
    [[ -n $tree && -r $tree/setup.env ]] ||
        die "there is no tree${version:+ of $version} in $work/build: run $program -g intel${version:+ -v $version}${build_type:+ -t $build_type} setup first"
    # shellcheck source=/dev/null
    . "$tree/setup.env"
    # A tree's name says which configuration it is of, so one of a former configuration can only be removed.
    [[ $config_version == "$configs" || $verb == clean ]] ||
        die "$tree is set up for configuration $config_version, and the fragments are $configs now: run $program -g intel${build_type:+ -t $build_type} setup"
    [[ -d $source_tree || $verb == clean ]] || die "the source $source_tree is gone: run setup -f again"
    release=$kernel_version-$config_version$suffix
}

clean_tree() {
    take_work
    find_tree
    # The link may be another tree's, with -v.
    [[ ! $work/build/${suffix#-}.current -ef $tree ]] || rm "$work/build/${suffix#-}.current"
    rm -rf "$tree"
    note "removed $tree"
    [[ $force == yes ]] || return 0
    # A tree that was given with --source is not ours.
    if [[ $source_tree == "$work"/source/* ]]; then
        rm -rf "$source_tree" "$source_tree.origin" "$source_tree.files"
        note "removed $source_tree"
    fi
    rm -rf "$work/download" "$work/ccache"
}
