# SPDX-License-Identifier: Apache-2.0
# bash completion for kata-vfio. The command itself knows what may come next (kata-vfio __complete).
_kata_vfio() {
    local line=${COMP_LINE:0:COMP_POINT} words=() current before=''
    read -ra words <<<"$line"
    [[ $line != *[[:space:]] ]] || words+=('')
    current=${words[-1]}
    COMPREPLY=()
    # bash takes ":" and "=" for the end of a word, and wants what comes behind the last one alone.
    [[ $current != *[:=]* ]] || before=${current%"${current##*[:=]}"}
    while IFS= read -r line; do
        if [[ $line == :files ]]; then
            compopt -o filenames 2>/dev/null
            mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -f -- "${current##*=}")
        else
            line=${line%%$'\t'*}
            COMPREPLY+=("${line#"$before"}")
        fi
    done < <("${words[0]}" __complete -- "${words[@]:1}" 2>/dev/null)
}
complete -F _kata_vfio kata-vfio
