// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/base/unique_fd.hpp"
#include "runtime-plugin/shim/vm/child.hpp"
#include "runtime-plugin/shim/vm/place.hpp"

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace kata_vfio::shim {

/// virtiofsd: serves the share to the guest of a QEMU that has no rights to do so itself, by
/// vhost-user. It shuts itself up in the share, in namespaces of its own, and ends with its
/// connection to QEMU. One thread.
class FileServer {
  public:
    /// Starts it, for one QEMU, which is to have `qemu_end`. Throws Failure(config_invalid) when
    /// there is no such program, or host_io.
    FileServer(boost::asio::io_context& io, const std::string& program, const Place& place,
               const HostCgroup& cgroup, UniqueFd& qemu_end);

    pid_t pid() const noexcept { return child_->pid(); }
    const Future<std::string>& ended() const noexcept { return child_->ended(); }

  private:
    std::unique_ptr<Child> child_;
};

/// Its arguments, the program first: words that both C's (QEMU 5 to 7) and Rust's virtiofsd take.
std::vector<std::string> file_server_line(const std::string& program, int listener,
                                          const std::filesystem::path& share);

} // namespace kata_vfio::shim
