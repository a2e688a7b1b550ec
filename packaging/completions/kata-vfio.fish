# SPDX-License-Identifier: Apache-2.0
# fish completion for kata-vfio. The command itself knows what may come next (kata-vfio __complete).
function __kata_vfio_complete
    set -l words (commandline -opc) (commandline -ct)
    for line in ($words[1] __complete -- $words[2..-1] 2>/dev/null)
        if test "$line" = :files
            __fish_complete_path (commandline -ct)
        else
            echo $line
        end
    end
end
complete -c kata-vfio -f -a '(__kata_vfio_complete)'
