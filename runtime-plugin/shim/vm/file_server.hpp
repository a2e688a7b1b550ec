// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/base/unique_fd.hpp"
#include "config/schema.hpp"
#include "runtime-plugin/shim/vm/child.hpp"
#include "runtime-plugin/shim/vm/file_server_line.hpp"
#include "runtime-plugin/shim/vm/place.hpp"

#include <boost/asio/awaitable.hpp>

#include <memory>
#include <string>

namespace kata_vfio::shim {

/// virtiofsd: serves the share to the guest in QEMU's place, by vhost-user. It shuts itself up in
/// the share, in namespaces of its own, and ends with its connection to QEMU. One thread.
class FileServer {
  public:
    /// Starts it, for one QEMU, which is to have `qemu_end`, in `cgroup`. Throws Failure:
    /// config_invalid when there is no such program, when it is not virtiofsd or can't do what the
    /// configuration wants of it, or host_io.
    static boost::asio::awaitable<std::unique_ptr<FileServer>>
    start(boost::asio::io_context& io, const config::Hypervisor& hypervisor, const Place& place,
          const HostCgroup& cgroup, UniqueFd& qemu_end);

    pid_t pid() const noexcept { return child_->pid(); }
    const Future<std::string>& ended() const noexcept { return child_->ended(); }
    /// Whether it has ended by a fault of its own, and not because its QEMU had.
    bool failed() const;

  private:
    explicit FileServer(std::unique_ptr<Child> child) : child_(std::move(child)) {}

    std::unique_ptr<Child> child_;
};

} // namespace kata_vfio::shim
