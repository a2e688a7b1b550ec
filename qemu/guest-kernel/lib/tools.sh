# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2015,SC2034,SC2154 # die ends it; the parts of build-kernel.sh share variables
# The Debian packages that setup and build need: checked before anything is begun, all named at once.

# tool:package
setup_tools=(make:make gcc:gcc flex:flex bison:bison xz:xz-utils tar:tar flock:util-linux sha256sum:coreutils)
debian_tools=(apt-get:apt apt-cache:apt dpkg-deb:dpkg)
build_tools=(make:make gcc:gcc ld:binutils objcopy:binutils nm:binutils bc:bc flex:flex bison:bison perl:perl gzip:gzip)
# objtool reads object files with it.
build_headers=(gelf.h:libelf-dev)

need_packages() { # TOOL:PACKAGE... [-- HEADER:PACKAGE...]
    local item missing=() packages=() headers=no
    for item in "$@"; do
        if [[ $item == -- ]]; then
            headers=yes
        elif [[ $headers == yes ]]; then
            printf '#include <%s>\n' "${item%%:*}" | gcc -E -o /dev/null -x c - 2>/dev/null || {
                missing+=("${item%%:*}")
                packages+=("${item#*:}")
            }
        elif ! command -v "${item%%:*}" >/dev/null; then
            missing+=("${item%%:*}")
            packages+=("${item#*:}")
        fi
    done
    ((${#missing[@]} > 0)) || return 0
    mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)
    mapfile -t packages < <(printf '%s\n' "${packages[@]}" | sort -u)
    die "not installed: ${missing[*]}. Install them: sudo apt-get install ${packages[*]}"
}
