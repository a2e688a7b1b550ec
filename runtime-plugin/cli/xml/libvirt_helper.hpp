// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/base/unique_fd.hpp"
#include "runtime-plugin/cli/signals.hpp"
#include "runtime-plugin/cli/xml/capabilities_cache.hpp"

#include <boost/json/object.hpp>
#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <string>

namespace kata_vfio::cli {

/// Where kata-vfio-libvirt is: KATA_VFIO_LIBVIRT (`env`), beside the command, or where it is
/// installed; "" when nowhere.
std::string choose_helper(const char* env, const std::filesystem::path& exe_dir,
                          const std::string& libdir,
                          const std::function<bool(const std::filesystem::path&)>& exists);

/// The program that asks libvirt, started with a directory of its own, which goes with this. It
/// runs as nobody when this is root. Main thread; SIGINT and SIGTERM are held meanwhile, end the
/// program and what it has started, and come out as Failure(cancelled).
class LibvirtHelper {
  public:
    /// The first time libvirt asks a QEMU what it can do, 2 s as a rule; up to 45 s have been seen.
    static constexpr std::chrono::seconds default_limit{120};

    /// Throws Failure(host_io) when it is not installed.
    explicit LibvirtHelper(std::chrono::milliseconds limit = default_limit);
    ~LibvirtHelper();
    LibvirtHelper(const LibvirtHelper&) = delete;
    LibvirtHelper& operator=(const LibvirtHelper&) = delete;

    /// One request of runtime-plugin/libvirt/embedded.hpp and its answer. Throws Failure: host_io
    /// when libvirt or its QEMU driver is not there, host_timeout.
    boost::json::object ask(const boost::json::object& request);

  private:
    void start();
    /// Until `fd` is ready. Throws Failure: host_timeout, cancelled.
    void wait_for(int fd, short events);
    std::string read_line();
    [[noreturn]] void fail_ended();
    int end(int signal) noexcept;

    std::chrono::milliseconds limit_;
    std::chrono::steady_clock::time_point until_; ///< of the request under way
    HeldSignals signals_;
    CapabilitiesCache cache_;
    std::string program_;
    std::filesystem::path directory_, log_;
    pid_t pid_ = -1;
    UniqueFd in_, out_; ///< its standard input and output
    std::string buffer_;
};

} // namespace kata_vfio::cli
