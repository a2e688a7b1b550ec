// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime-plugin/cli/arguments.hpp"
#include "runtime-plugin/cli/call_watch.hpp"
#include "runtime-plugin/cli/io.hpp"

#include <boost/json/object.hpp>

#include <filesystem>
#include <functional>
#include <string>

struct kata_vfio_client_module;

namespace kata_vfio::cli {

/// This command as a client of kata-vfiod, through kata_vfio_client.so. As PluginHost: one thread,
/// steps are shown, and SIGINT and SIGTERM cancel a call, whose undoing is waited for.
class DaemonClient {
  public:
    /// Throws Failure(host_io, abi_mismatch): no module, or another version's.
    DaemonClient(const Arguments& arguments, Io& io);
    ~DaemonClient();
    DaemonClient(const DaemonClient&) = delete;
    DaemonClient& operator=(const DaemonClient&) = delete;

    /// One call, `request` and answer as the messages' JSON (docs/json.md). Throws the Failure the
    /// daemon told. A call that changes something gets a request id, and its steps are shown.
    boost::json::object call(const std::string& what, const std::string& method,
                             boost::json::object request, bool changes);

  private:
    struct Ended;
    boost::json::object wait_for(const std::string& what, const std::string& method,
                                 const std::string& request, const std::string& request_id);

    Io& io_;
    CallWatch watch_; ///< before gRPC's threads: they must not take the signals
    const kata_vfio_client_module& module_;
    void* client_;
};

/// Where the module is, as choose_library() for the plugin: `env` (KATA_VFIO_CLIENT), or beside the
/// executable in ../lib (build tree), ../lib/kata-vfio, ../LIBDIR/kata-vfio. "" when it is nowhere.
std::string choose_client(const char* env, const std::filesystem::path& exe_dir,
                          const std::string& libdir,
                          const std::function<bool(const std::filesystem::path&)>& exists);

} // namespace kata_vfio::cli
