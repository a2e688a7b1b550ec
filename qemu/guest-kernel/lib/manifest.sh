# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2015,SC2034,SC2154 # die ends it; the parts of build-kernel.sh share variables
# manifest.json: what the images were made of. Nothing in it depends on where or when.

sum_of() { sha256sum <"$1" | cut -d' ' -f1; }
json_text() { # a JSON string; what goes into it has no control characters
    local text=${1//\\/\\\\}
    printf '"%s"' "${text//\"/\\\"}"
}

write_manifest() {
    printf '%s\n' "$(manifest_text)" >"$tree/manifest.json.new"
    mv "$tree/manifest.json.new" "$tree/manifest.json"
}

manifest_text() {
    local file name value rest comma=''
    printf '{\n  "kernel": %s,\n  "uname": %s,\n' "$(json_text "$kernel_version")" "$(json_text "$kernel_version$suffix")"
    printf '  "source": {"origin": %s, "sha256": "%s"},\n' "$(json_text "$source_origin")" "$source_hash"
    printf '  "config_version": %s,\n' "$(json_text "$config_version")"
    printf '  "build": {"user": "%s", "host": "%s", "time": %s, "compiler": %s},\n' "$KBUILD_BUILD_USER" "$KBUILD_BUILD_HOST" \
        "$(json_text "$KBUILD_BUILD_TIMESTAMP")" "$(json_text "$(gcc --version | head -n 1)")"
    printf '  "fragments": {'
    for file in "${fragments[@]}"; do
        printf '%s\n    %s: "%s"' "$comma" "$(json_text "${file##*/}")" "$(sum_of "$file")"
        comma=,
    done
    printf '\n  },\n  "options": {'
    comma=
    while IFS=$'\t' read -r name value rest; do
        printf '%s\n    %s: %s' "$comma" "$(json_text "$name")" "$(json_text "$value")"
        comma=,
    done < <(sort "$tree/options")
    printf '\n  },\n  "sha256": {"config": "%s", "vmlinuz": "%s", "vmlinux": "%s"}\n}\n' "$(sum_of "$tree/.config")" \
        "$(sum_of "$(image_of vmlinuz)")" "$(sum_of "$(image_of vmlinux)")"
}
