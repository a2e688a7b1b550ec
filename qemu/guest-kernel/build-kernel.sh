#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds the guest kernel for Kata sandboxes with a GPU (docs/guest-kernel.md), with the walkthrough's
# words: -g intel setup | build | install.
set -euo pipefail

here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
# shellcheck disable=SC2034 # used by the parts
program=$(basename "${BASH_SOURCE[0]}")
# Sorting, dates and messages are the same for everyone: they go into what is built or compared.
export LC_ALL=C TZ=UTC
umask 022

for part in words place tools source fragments missing_options make manifest install; do
    # shellcheck source=/dev/null
    . "$here/lib/$part.sh"
done

trap at_end EXIT
parse_words "$@"
exec 8>&2
trap interrupted INT TERM
# shellcheck disable=SC2154 # parse_words sets it
case $verb in
setup) setup_tree ;;
config) configure_tree ;;
build) build_tree ;;
check) check_kernel ;;
install) install_images ;;
clean) clean_tree ;;
esac
