// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/base/unique_fd.hpp"

#include <cstddef>
#include <memory>
#include <span>

namespace kata_vfio::qemu {

/// What was there to be read of a client.
struct ProxyReceived {
    std::size_t size = 0; ///< bytes; 0 without an error is EOF
    int error = 0;        ///< errno; EAGAIN: nothing, for now
    /// Came with the byte at `fd_at`; nullptr for none.
    std::shared_ptr<const UniqueFd> fd;
    std::size_t fd_at = 0;
};

/// Reads from a unix stream socket without waiting. One descriptor a message, as QEMU uses: others,
/// and all of them where none is wanted, are closed by the kernel.
///
/// QEMU reads a byte at a time and so sees which command a descriptor came with; a larger read may
/// end in the message that has it, with earlier ones in front. So one is looked for first, and only
/// what has one is read bytewise up to it.
ProxyReceived receive(int socket, std::span<char> into, bool descriptors);

} // namespace kata_vfio::qemu
