# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2015,SC2034,SC2154 # die ends it; the parts of build-kernel.sh share variables
# Every requested option is in the final .config, or it is said by name why it is not.

# The Kconfig files of the architecture, relative to the source.
kconfig_files() { (cd "$source_tree" && find . \( -path './arch/*' ! -path './arch/x86' ! -path './arch/x86/*' \) -prune -o -name 'Kconfig*' -type f -print); }

# The conditions around line LINE of a Kconfig file: its `if` and `menu` blocks, then those of the file
# that includes it, and so on.
conditions_around() { # FILE LINE
    local file=$1 line=$2 depth parent
    for depth in 1 2 3 4 5; do
        awk -v line="$line" '
            NR >= line { exit }
            /^if[ \t]/ { sub(/^if[ \t]+/, ""); stack[++d] = $0; menu = 0; next }
            /^menu[ \t]/ { stack[++d] = ""; menu = 1; next }
            /^(endif|endmenu)([ \t]|$)/ { d--; menu = 0; next }
            menu && /^[ \t]+depends on / { sub(/^[ \t]+depends on /, ""); stack[d] = stack[d] (stack[d] ? " && " : "") $0; next }
            /^[a-z]/ { menu = 0 }
            END { for (i = 1; i <= d; i++) if (stack[i]) print "(" stack[i] ")" }' "$source_tree/$file"
        parent=$(kconfig_files | (cd "$source_tree" && xargs grep -nE "^[[:space:]]*source[[:space:]]+\"${file#./}\"" /dev/null) | head -n 1)
        [[ -n $parent ]] || return
        file=${parent%%:*}
        line=${parent#*:}
        line=${line%%:*}
    done
}

# FILE:LINE:TEXT of an option's Kconfig entry, or nothing.
entry_of() { # NAME
    kconfig_files | (cd "$source_tree" && xargs grep -nE "^(menu)?config[[:space:]]+${1#CONFIG_}\$" /dev/null) | head -n 1
}

# What an option's Kconfig entry says it depends on, and which of those are not set.
explain_option() { # NAME CONFIG
    local symbol=${1#CONFIG_} config=$2 entry depends word unset=() like file line hidden=
    entry=$(entry_of "$symbol")
    if [[ -z $entry ]]; then
        # The longest part of the name is what a renamed option has kept.
        word=$(tr '_' '\n' <<<"$symbol" | awk '{ if (length($0) >= length(w)) w = $0 } END { print w }')
        like=$(kconfig_files | (cd "$source_tree" && xargs grep -hE "^(menu)?config[[:space:]]+[A-Z0-9_]*${word}[A-Z0-9_]*\$" /dev/null) |
            awk '{ print "CONFIG_" $2 }' | sort -u | head -n 5 | tr '\n' ' ')
        printf 'Linux %s has no such option: renamed or dropped%s' "$kernel_version" "${like:+; it has ${like% }}"
        return
    fi
    file=${entry%%:*} line=${entry#*:}
    line=${line%%:*}
    depends=$({
        awk -v from="$line" '
            NR <= from { next }
            /^[a-z]/ || /^[ \t]+help/ { exit }
            /^[ \t]+depends on / { on = 1; sub(/^[ \t]+depends on /, ""); text = "" }
            on { text = text $0; on = sub(/\\$/, "", text); if (!on) print "(" text ")" }' "$source_tree/$file"
        conditions_around "$file" "$line"
    } | awk '{ gsub(/[ \t]+/, " "); all = all (all ? " && " : "") $0 } END { print all }')
    # An option without a prompt is set by others that select it, never by a fragment.
    awk -v from="$line" 'NR <= from { next } /^[a-z]/ { exit } /^[ \t]+(bool|tristate|string|int|hex|prompt)[ \t]+"/ { found = 1; exit }
        END { exit !found }' "$source_tree/$file" || hidden=', and only others can select it (it has no prompt)'
    while read -r word; do
        grep -qE "^CONFIG_$word=" "$config" || unset+=("CONFIG_$word")
    done < <(grep -oE '\b[A-Z0-9][A-Z0-9_]+\b' <<<"$depends" | sort -u)
    printf 'depends on %s%s (%s:%s)' "${depends:-nothing that can be set}" \
        "${unset:+, of which not set: ${unset[*]}}$hidden" "${file#./}" "$line"
}

# Whether a kernel may do without an option: it has the same under another name, or has nothing of the kind at all,
# for which the reason is printed. One that it has, and whose dependencies are missing, is not optional.
optional_reason() { # NAME CONFIG
    local names reason name
    [[ -r $optional_list ]] || return 1
    read -r names reason < <(awk -v name="$1" '
        { n = split($1, same, "|"); for (i = 1; i <= n; i++) if (same[i] == name) { print; exit } }' "$optional_list") || return 1
    for name in ${names//|/ }; do
        ! grep -qx "$name=y" "$2" || return 0
    done
    for name in ${names//|/ }; do
        [[ -z $(entry_of "$name") ]] || return 1
    done
    printf '%s\n' "$reason"
}

prove_options() { # CONFIG
    local config=$1 name value where got reason missing=0
    # Name, value, FILE:LINE and what is there instead, of the options that are otherwise in the .config.
    while IFS=$'\t' read -r name value where got; do
        if reason=$(optional_reason "$name" "$config"); then
            [[ -z $reason ]] || note "left out: $name ($reason)"
            continue
        fi
        missing=$((missing + 1))
        note "$name=$value (${where#"$here/"}) is $got in the final .config: $(explain_option "$name" "$config")"
    done < <(awk -F '\t' -v OFS='\t' '
        NR == FNR {
            if ($0 ~ /^CONFIG_/) { at = index($0, "="); has[substr($0, 1, at - 1)] = substr($0, at + 1) }
            next
        }
        {
            got = ($1 in has) ? has[$1] : "n"
            if (got != $2) print $1, $2, $3, (got == "n" ? "not set" : got)
        }' "$config" "$tree/options")
    # What a newer kernel has made an option of is off, since the merge begins with all of them off: not unseen.
    for name in $(sed -n 's/^# \(CONFIG_MITIGATION_[A-Z0-9_]*\) is not set$/\1/p' "$config"); do
        ! grep -q "^$name"$'\t' "$tree/options" || continue
        missing=$((missing + 1))
        note "$name is off in the final .config, and no fragment names it: ask for it, $name=y, or say # $name is not set"
    done
    ((missing > 0)) || return 0
    if [[ $skip_check == yes ]]; then
        note "going on without $missing of the options asked for (-s)"
        return 0
    fi
    die "$missing of the options asked for did not make the final .config (above): correct the fragments, or go on without them with -s"
}
