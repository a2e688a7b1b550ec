# SPDX-License-Identifier: Apache-2.0
# Packages of a younger Debian, unpacked beside the system's; nothing is installed, and apt's own lists, cache
# and state are only read. Sourced by bash, with umask 022.
# unpack_beside CACHE SUITE PACKAGE...: into CACHE/root, unless `works`, a function of the caller's, says that
# it is there. Exits with 77, and one line on stderr that says why, when it can't be had.
give_up() {
    printf '%s: %s\n' "$(basename "$0")" "$*" >&2
    exit 77
}
unpack_beside() {
    local cache=$1 suite=$2 apt=$1/apt log=$1/log package
    shift 2
    if works; then return; fi
    mkdir -p "$cache" 2>/dev/null && [ -w "$cache" ] || give_up "cannot write $cache"
    exec 9>"$cache/lock"
    flock 9
    if works; then return; fi
    rm -rf "$apt" "$cache/new" "$cache/root"
    mkdir -p "$apt"/{lists/partial,cache/archives/partial} "$cache/new"
    # The machine's own mirror, with the suite beside the one it has.
    apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' 2>/dev/null |
        awk -v suite="$suite" '$2 == "bookworm" && $3 == "main" { print "deb", $1, suite, "main" }' | sort -u >"$apt/sources.list"
    [ -s "$apt/sources.list" ] || give_up "apt's sources have no suite 'bookworm' whose mirror could have $suite"
    # Without a list of installed packages: these are wanted, and nothing else they need.
    : >"$apt/status"
    apt_private() {
        apt-get -q -o APT::Sandbox::User="$(id -un)" -o Debug::NoLocking=true \
            -o Dir::Etc::sourcelist="$apt/sources.list" -o Dir::Etc::sourceparts=/dev/null \
            -o Dir::Etc::preferencesparts=/dev/null -o Dir::Etc::preferences=/dev/null \
            -o Dir::State="$apt" -o Dir::State::lists="$apt/lists" -o Dir::State::status="$apt/status" \
            -o Dir::Cache="$apt/cache" -o Acquire::Languages=none -o Acquire::Retries=3 "$@"
    }
    apt_private update >"$log" 2>&1 && ! grep -q '^[WE]:' "$log" ||
        give_up "apt-get update of $suite failed: $(grep -m1 '^[WE]:' "$log" || tail -n 1 "$log")"
    (cd "$apt" && apt_private download "$@") >"$log" 2>&1 ||
        give_up "the download failed: $(grep -m1 '^E:' "$log" || tail -n 1 "$log")"
    for package in "$apt"/*.deb; do
        dpkg-deb -x "$package" "$cache/new" 2>"$log" || give_up "dpkg-deb: $(tail -n 1 "$log")"
    done
    mv "$cache/new" "$cache/root"
    rm -rf "$apt"
    works || give_up "what was unpacked of $suite does not run here"
}
