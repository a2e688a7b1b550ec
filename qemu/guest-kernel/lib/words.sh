# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2015,SC2034,SC2154 # die ends it; the parts of build-kernel.sh share variables
# What is said to the user, and the command line.

note() { printf '%s: %s\n' "$program" "$*" >&2; }
# Exit statuses: 1 what was asked for can't be done, 2 wrong usage, 130 interrupted.
explained=no
died_below=99 # what a subshell's die() tells the shell above
die() {
    note "$@"
    explained=yes
    exit $((BASH_SUBSHELL > 0 ? died_below : 1))
}
misuse() {
    note "$* ($program -h shows the usage)"
    explained=yes
    exit 2
}

# However it ends (trap EXIT). A command that fails where nobody looked for it, on a full disk for one, has said
# little itself.
at_end() {
    local status=$?
    remove_staged
    ((status != died_below)) || exit 1
    if ((status > 0 && status < 128)) && [[ $explained == no && $verb != check ]]; then
        note "a command failed (above)${work:+; $work has $(df --output=avail -BM "$work" 2>/dev/null | tail -n 1 | tr -d ' ') free}. After the cause is gone, $verb goes on from here"
    fi
}

# Ctrl-C (trap INT and TERM) ends make too, which deletes the file it was writing; the status it ends with may be that
# of a failure. Said where the user reads it, whatever log the output was going to then.
interrupted() {
    note "interrupted after $SECONDS s: $verb goes on from here" 2>&8
    explained=yes
    exit 130
}

usage() {
    cat <<TEXT
usage: $program -g intel [OPTION...] VERB

  setup         get the kernel's source and make its .config
  build         build vmlinuz and vmlinux; after a change only what it concerns
  install       put them below DESTDIR/PREFIX/share/kata-containers
  config        make the .config again and show what changed
  check [FILE]  whether a kernel image or .config can serve (default: what was built)
  clean         remove what was built (with -f also the source)

  -g VENDOR     the GPU: intel
  -f            setup: begin again, though there is a tree already
  -v VERSION    kernel: 6.1, or Debian's full 6.1.192-2 (default: what linux-source depends on)
  -a ARCH       x86_64, the only one with machine pc and PVH
  -t TYPE       build type: debug (default: none)
  -d DESTDIR    install below this folder (default: none)
  -p PREFIX     (default: /usr)
  -s            go on though options did not make the final .config
  -j N          compile N files at a time (default: one a processor)
  -w DIR        where source and trees are kept (default: \$KATA_VFIO_GUEST_KERNEL_CACHE,
                /var/cache/kata-vfio/guest-kernel, or ~/.cache/kata-vfio/guest-kernel)
  --source PATH --sha256 SUM
                setup: a tarball, or an unpacked tree, instead of Debian's package
  --fragment FILE
                more options, after ours; repeatable
  -h            this text
TEXT
}

parse_words() {
    verb='' vendor='' force=no version='' build_type='' destdir='' prefix=/usr skip_check=no jobs=''
    work='' source_path='' source_sum='' kernel_file='' extra_fragments=()
    local words=() option
    while (($# > 0)); do
        option=$1
        shift
        case $option in
        -g | -v | -a | -t | -d | -p | -j | -w | --source | --sha256 | --fragment)
            (($# > 0)) || misuse "$option wants a value"
            set_option "$option" "$1"
            shift
            ;;
        -j?*) set_option -j "${option#-j}" ;;
        -f) force=yes ;;
        -s) skip_check=yes ;;
        -h | --help)
            usage
            exit 0
            ;;
        -*) misuse "there is no option $option" ;;
        *) words+=("$option") ;;
        esac
    done
    ((${#words[@]} > 0)) || misuse "no verb: setup, build, install, config, check or clean"
    verb=${words[0]}
    case $verb in
    setup | build | install | config | clean) ((${#words[@]} == 1)) || misuse "$verb takes nothing more: ${words[*]:1}" ;;
    check)
        ((${#words[@]} <= 2)) || misuse "check takes one file, not ${words[*]:1}"
        kernel_file=${words[1]:-}
        ;;
    *) misuse "there is no verb '$verb'" ;;
    esac
    # Of a file given by name nothing else has to be known.
    [[ $vendor == intel || -n $kernel_file ]] ||
        misuse "-g intel is missing: Kata's own build makes the kernel without a GPU"
    [[ -z $source_path || -n $source_sum ]] ||
        misuse "--source $source_path: give its --sha256 too, or nobody knows what is built"
    [[ -n $source_path || -z $source_sum ]] || misuse "--sha256 goes with --source"
    [[ -z $source_path || -z $version ]] || misuse "-v goes with Debian's source, not with --source"
    [[ -z $source_path || $verb == setup ]] || misuse "--source goes with setup; $verb uses what setup chose"
    suffix=-intel-gpu${build_type:+-$build_type}
}

set_option() { # OPTION VALUE
    case $1 in
    -g)
        [[ $2 == intel ]] || misuse "-g $2: only intel is built here"
        vendor=$2
        ;;
    -v)
        [[ $2 =~ ^v?[0-9]+\.[0-9]+([.+~a-z0-9-]*)$ ]] || misuse "-v $2: no kernel version, like 6.1 or 6.1.192-2"
        version=${2#v}
        ;;
    -a) [[ $2 == x86_64 ]] || misuse "-a $2: only x86_64 has QEMU's machine pc, PVH and i915" ;;
    -t)
        [[ $2 == debug ]] || misuse "-t $2: the only build type is debug"
        build_type=$2
        ;;
    -d) destdir=${2%/} ;;
    -p)
        [[ $2 == /* ]] || misuse "-p $2: must be an absolute path"
        prefix=${2%/}
        ;;
    -j)
        [[ $2 =~ ^[1-9][0-9]{0,3}$ ]] || misuse "-j $2: how many files at a time, a number from 1"
        jobs=$2
        ;;
    -w) work=$2 ;;
    --source) source_path=$2 ;;
    --sha256)
        [[ $2 =~ ^[0-9a-fA-F]{64}$ ]] || misuse "--sha256 $2: must be 64 hexadecimal digits"
        source_sum=${2,,}
        ;;
    --fragment)
        [[ -r $2 ]] || misuse "--fragment $2: can't be read"
        extra_fragments+=("$(readlink -f "$2")")
        ;;
    esac
}
