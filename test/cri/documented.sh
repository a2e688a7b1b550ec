# SPDX-License-Identifier: Apache-2.0
# documented WORD: the first block of docs/runtime.md that has WORD, as a reader copies it, so that what is
# said there is what runs here. Sourced by bash; top is the repository.
documented() {
    awk -v word="$1" '
        /^ *```/ { if (found) exit; inside = !inside; text = ""; next }
        inside { sub(/^   /, ""); text = text $0 "\n"; if (index($0, word)) found = 1 }
        END { if (!found) exit 1; printf "%s", text }' "$top/docs/runtime.md" ||
        { echo "cri: docs/runtime.md has no block with '$1'" >&2; exit 1; }
}
