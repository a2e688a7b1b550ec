// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime-plugin/cli/arguments.hpp"
#include "runtime-plugin/cli/call_watch.hpp"
#include "runtime-plugin/cli/daemon_connection.hpp"
#include "runtime-plugin/cli/io.hpp"

#include <boost/json/object.hpp>

#include <string>

namespace kata_vfio::cli {

/// This command as a client of kata-vfiod, through kata_vfio_client.so. As PluginHost: one thread,
/// steps are shown, and SIGINT and SIGTERM cancel a call, whose undoing is waited for.
class DaemonClient {
  public:
    /// Throws as DaemonConnection.
    DaemonClient(const Arguments& arguments, Io& io);

    /// One call, `request` and answer as the messages' JSON (docs/json.md). Throws the Failure the
    /// daemon told. A call that changes something gets a request id, and its steps are shown.
    boost::json::object call(const std::string& what, const std::string& method,
                             boost::json::object request, bool changes);

  private:
    struct Ended;
    boost::json::object wait_for(const std::string& what, const std::string& method,
                                 const boost::json::object& request, const std::string& request_id);

    CallWatch watch_; ///< before gRPC's threads: they must not take the signals
    DaemonConnection daemon_;
};

} // namespace kata_vfio::cli
