// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "qemu/qmp/session.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/json/value.hpp>

#include <string>
#include <string_view>

namespace kata_vfio::qemu {

/// query-status. The state is kept as text: qapi/run-state.json grows.
struct RunState {
    std::string status; ///< "running", "paused", "prelaunch", ..
    bool running = false;

    /// Never started: the virtual clock is 0, and a device_del now would wedge the device until the
    /// next reset ("already in the process of unplug" for ever).
    bool before_start() const noexcept;
};

RunState parse_run_state(const boost::json::value& query_status);

/// Whether a QOM type name ("pc-i440fx-7.2-machine") is of the i440fx pc family.
bool is_pc_machine(std::string_view qom_type) noexcept;

/// The type of /machine without "-machine", e.g. "pc-i440fx-7.2". Throws
/// Failure(live_machine_refused) naming what was found when it is not of the pc family.
boost::asio::awaitable<std::string> require_pc_machine(Session& session);

boost::asio::awaitable<RunState> run_state(Session& session, OnCancel mode = OnCancel::abandon);
boost::asio::awaitable<bool> device_present(Session& session, std::string id,
                                            OnCancel mode = OnCancel::abandon);

} // namespace kata_vfio::qemu
