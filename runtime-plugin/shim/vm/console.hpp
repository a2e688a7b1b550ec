// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/base/unique_fd.hpp"
#include "runtime-plugin/shim/vm/pipe_log.hpp"

#include <boost/asio/io_context.hpp>

#include <filesystem>
#include <memory>
#include <string>

namespace kata_vfio::shim {

/// A guest's serial console: QEMU writes it into a pipe, and this into a file that does not grow
/// without end (ChildLog), until QEMU or this object ends. A guest can write without end: what it
/// takes of this process is a read of at most 64 KiB between other work. One thread.
class Console {
  public:
    /// Gives QEMU's end in `write_end`, to be closed here once QEMU has it. Throws
    /// Failure(host_io, permission_denied, internal).
    Console(boost::asio::io_context& io, const std::filesystem::path& log, UniqueFd& write_end);
    ~Console();
    Console(const Console&) = delete;
    Console& operator=(const Console&) = delete;

    /// The last of what QEMU has written by now, at most 3000 bytes; "" for nothing.
    std::string end();

  private:
    std::filesystem::path path_;
    std::shared_ptr<PipeLog> reader_;
};

} // namespace kata_vfio::shim
