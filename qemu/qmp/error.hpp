// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/base/failure.hpp"

#include <string>
#include <string_view>

namespace kata_vfio::qemu {

/// Finer than Errc where our own machines decide on it.
enum class Refusal {
    other,
    device_not_found, ///< class DeviceNotFound: for device_del that is "gone", i.e. done
    unplug_pending,   ///< "already in the process of unplug": an earlier request is still open
    unplug_busy,      ///< "guest is busy (power indicator blinking)": ask again later
    duplicate_id,
    bus_full,
    slot_taken, ///< the addr asked for is somebody's
};

/// What QEMU's error reply means. QEMU gives nearly everything the class GenericError and keeps its
/// hints (error_append_hint) from QMP, so the text decides and the hint is written again here.
struct Classified {
    Errc code = Errc::qemu_refused;
    Refusal refusal = Refusal::other;
    std::string_view remedy; ///< "" when there is nothing to advise
};

/// The one place that reads QEMU's error texts (strings of 7.2 and 10.0; qapi/error.json for the
/// classes). Unknown classes and texts give qemu_refused. Pure.
Classified classify(std::string_view command, std::string_view error_class, std::string_view desc);

/// An error reply as a Failure: problem names command and class, verbatim() is QEMU's desc.
class QmpFailure : public Failure {
  public:
    QmpFailure(std::string command, std::string error_class, std::string desc);

    const std::string& command() const noexcept { return command_; }
    const std::string& error_class() const noexcept { return error_class_; }
    Refusal refusal() const noexcept { return refusal_; }

  private:
    QmpFailure(const Classified& what, std::string command, std::string error_class,
               std::string desc);

    std::string command_, error_class_;
    Refusal refusal_;
};

/// The connection ended before a command was answered. code() is that of the loss (qemu_gone, ..),
/// and the problem says that the connection is lost, of which socket, and what that means for the
/// command: one that was sent may have been carried out or not, and only QEMU can tell, over
/// another connection (see Monitor).
class CommandLost : public Failure {
  public:
    CommandLost(const Failure& why, std::string where, std::string command, bool sent);

    const std::string& where() const noexcept { return where_; }
    const std::string& command() const noexcept { return command_; }
    /// False: QEMU has seen nothing of it, so it was certainly not done.
    bool sent() const noexcept { return sent_; }

  private:
    std::string where_, command_;
    bool sent_;
};

} // namespace kata_vfio::qemu
