// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/base/failure.hpp"
#include "runtime-plugin/cli/arguments.hpp"

#include <boost/json/object.hpp>

#include <filesystem>
#include <functional>
#include <string>

struct kata_vfio_client_module;

namespace kata_vfio::cli {

/// A connection to kata-vfiod by kata_vfio_client.so. What it does blocks; from any thread.
class DaemonConnection {
  public:
    using Message = std::function<void(const boost::json::object&)>;

    /// Throws Failure(host_io, abi_mismatch, invalid_argument): no module, another version's, or a
    /// TLS file that can't be read. The daemon itself is called when first needed.
    explicit DaemonConnection(const Arguments& arguments);
    /// After every call has returned.
    ~DaemonConnection();
    DaemonConnection(const DaemonConnection&) = delete;
    DaemonConnection& operator=(const DaemonConnection&) = delete;

    /// `request` and answer as the messages' JSON (docs/json.md). Throws the Failure the daemon
    /// told.
    boost::json::object call(const std::string& method, const boost::json::object& request);
    /// The steps of all calls, after one empty message that says that none is missed from now on.
    /// Returns when they end, however.
    void steps(const Message& message);
    /// Qmp/Events, Qmp/Trace. Returns when the daemon has ended it; throws the Failure it told.
    void stream(const std::string& method, const boost::json::object& request,
                const Message& message);
    /// Ends everything that runs, and what is begun from now on before it is sent: cancelled.
    void stop();

  private:
    const kata_vfio_client_module& module_;
    void* client_;
};

/// Where the module is, as choose_library() for the plugin: `env` (KATA_VFIO_CLIENT), or beside the
/// executable in ../lib (build tree), ../lib/kata-vfio, ../LIBDIR/kata-vfio. "" when it is nowhere.
std::string choose_client(const char* env, const std::filesystem::path& exe_dir,
                          const std::string& libdir,
                          const std::function<bool(const std::filesystem::path&)>& exists);

} // namespace kata_vfio::cli
