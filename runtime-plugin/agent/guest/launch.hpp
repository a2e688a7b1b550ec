// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/base/unique_fd.hpp"
#include "runtime-plugin/agent/guest/cgroup.hpp"
#include "runtime-plugin/agent/protocol/message.hpp"

#include <sys/types.h>

#include <optional>
#include <string>

namespace kata_vfio::agent {

/// A process on its way to its program. `sync` brings its messages, and ends (EOF) once the program
/// runs, or everything that could still say something is gone.
struct Launched {
    pid_t pid = 0; ///< 0 until a message tells it (exec, and a pid namespace that is shared)
    UniqueFd sync;
    UniqueFd in, out, err; ///< near ends of the pipes; none with a terminal
};

/// What `sync` says.
struct LaunchMessage {
    enum class Kind { pid, terminal, failed } kind;
    pid_t pid = 0;
    UniqueFd terminal;
    std::string error;
    int number = 0;
};

/// The first process of a new container. `pod_init`: the first process of the pid namespace it
/// shares, when it does; its pid is then told by a message. Throws SystemError.
Launched launch_container(const ContainerSpec& spec, const Cgroup& cgroup, pid_t pod_init);
/// The first process of a pid namespace that containers share, for as long as the guest runs: it
/// takes in what they leave behind, and does nothing else. Throws SystemError.
pid_t launch_pod_init();
/// One more process in the container whose first process is `first`.
Launched launch_exec(const ProcessSpec& spec, pid_t first, const Cgroup& cgroup);

struct LaunchRead {
    bool ended = false;
    std::optional<LaunchMessage> message;
};
/// One message of `sync`, which must be readable.
LaunchRead read_launch(int sync);

} // namespace kata_vfio::agent
