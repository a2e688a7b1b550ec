// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/base/unique_fd.hpp"
#include "runtime-plugin/agent/protocol/message.hpp"

namespace kata_vfio::agent {

/// A pseudo terminal of the container the calling process is in: its master. The process gets a
/// session of its own, with the terminal as the controlling one and as its stdin, stdout, stderr.
/// With `console`, /dev/console is that terminal too.
UniqueFd take_terminal(const ProcessSpec& spec, bool console);

/// Becomes the program: limits, user, capabilities, directory, exec. Returns never; throws
/// SystemError when it can't.
[[noreturn]] void run(const ProcessSpec& spec);

} // namespace kata_vfio::agent
