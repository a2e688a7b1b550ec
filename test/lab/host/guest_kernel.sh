# SPDX-License-Identifier: Apache-2.0
# `lab guest-kernel`: the walkthrough's three commands, with the lab's cache as the place to install to.
# Words after it go to each of them (-j 2, -f, -v 6.12, -w DIR). Goes on where an earlier one was stopped.
set -euo pipefail
lab=$(dirname "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")")
cache=${KATA_VFIO_LAB_CACHE:-/var/cache/kata-vfio/lab}
build=$lab/../../qemu/guest-kernel/build-kernel.sh

mkdir -p "$cache"
"$build" -g intel "$@" setup
"$build" -g intel "$@" build
said=$("$build" -g intel "$@" -d "$cache/guest-kernel" -p / install)
printf '%s\n' "$said"
# "/share/kata-containers/vmlinux-intel-gpu.container -> ..." is its first line.
link=${said%% -> *}
case $link in
*/vmlinux-intel-gpu.container) echo "lab guest-kernel: sandboxes start with $cache/guest-kernel$link from now on (remove $cache/guest-kernel to go back)" >&2 ;;
*) echo "lab guest-kernel: a sandbox starts with it by --kernel $cache/guest-kernel$link" >&2 ;;
esac
