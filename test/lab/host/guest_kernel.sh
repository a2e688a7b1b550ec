# SPDX-License-Identifier: Apache-2.0
# `lab guest-kernel`: the walkthrough's three commands, with the lab's cache as the place to install to.
# Words after it go to setup and build (-j 2, -f). Goes on where an earlier one was stopped.
set -euo pipefail
lab=$(dirname "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")")
cache=${KATA_VFIO_LAB_CACHE:-/var/cache/kata-vfio/lab}
build=$lab/../../qemu/guest-kernel/build-kernel.sh

mkdir -p "$cache"
"$build" -g intel "$@" setup
"$build" -g intel "$@" build
"$build" -g intel -d "$cache/guest-kernel" -p / install
echo "lab guest-kernel: sandboxes start with $cache/guest-kernel/share/kata-containers/vmlinux-intel-gpu.container from now on (remove $cache/guest-kernel to go back)" >&2
