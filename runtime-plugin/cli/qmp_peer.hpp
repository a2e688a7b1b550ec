// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "qemu/qmp/session.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/json/value.hpp>

#include <optional>
#include <string>

namespace kata_vfio::cli {

/// Who answers `qmp` and `events`: a QMP socket, or kata-vfiod for one of its sandboxes. Everything
/// in the one thread that runs the loop it was made on.
class QmpPeer {
  public:
    QmpPeer() = default;
    virtual ~QmpPeer() = default;
    QmpPeer(const QmpPeer&) = delete;
    QmpPeer& operator=(const QmpPeer&) = delete;

    /// Throws Failure: qemu_refused, qmp_timeout, qemu_gone, cancelled (QEMU goes on with the
    /// command, its answer is dropped). From a socket a refusal is a QmpFailure.
    virtual boost::asio::awaitable<boost::json::value> execute(qemu::Command command) = 0;
    /// One handler.
    virtual void on_event(qemu::EventHandler handler) = 0;
    /// Why nothing comes any more; nullopt while it may.
    virtual std::optional<Failure> lost() const = 0;
    virtual std::string qemu_version() const = 0;
};

} // namespace kata_vfio::cli
