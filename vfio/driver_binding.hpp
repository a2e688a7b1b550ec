// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "vfio/deadline.hpp"
#include "vfio/host_root.hpp"
#include "vfio/pci_address.hpp"

#include <functional>
#include <iosfwd>
#include <optional>
#include <string>

namespace kata_vfio::vfio {

/// What is needed to give a function back: plain data, written to the journal by the caller before
/// the first write. restore_driver() copes with a crash at any instant after that.
struct BindRecord {
    PciAddress address;
    std::optional<std::string> earlier_driver;
    std::optional<std::string> earlier_override;
    std::string driver = "vfio-pci"; ///< what it was bound to
    bool changed = false;            ///< false: it was on vfio already, there is nothing to undo

    bool operator==(const BindRecord&) const = default;
};

struct BindOptions {
    std::string driver = "vfio-pci"; ///< or a VFIO variant driver
    Deadline deadline = std::chrono::seconds(10);
    /// Called once with changed = true, after all refusals and before the first write. When it
    /// throws, nothing is written and the exception goes to the caller.
    std::function<void(const BindRecord&)> before_first_write;
};

/// Binds a function to VFIO: driver_override, unbind, drivers_probe, and then the proof, since a
/// probe "succeeds" also when nothing, or another driver, has bound.
///
/// A function already on the wanted driver, or on a VFIO variant when vfio-pci is wanted, is left
/// as it is (changed = false). Throws Failure, and in each case the host is as before unless the
/// text says what is left:
///   device_not_found   no such function
///   no_iommu           it has no IOMMU group
///   bind_failed        it is a bridge; or another driver, or none, bound after the probe (undone)
///   device_in_use      virtual functions are enabled on it, or vGPUs made; or its group is held by
///                      a process
///   driver_missing     the driver is not loaded
///   host_timeout       the kernel blocked beyond the deadline: an unbind is then still under way
/// Does not look at the siblings: that is require_viable(). [any-thread], two threads must not work
/// on one function at a time.
BindRecord bind_to_vfio(const HostRoot& root, const PciAddress& address,
                        const BindOptions& options = {});

enum class RestoreOutcome {
    restored,   ///< driver and override are the earlier ones
    unchanged,  ///< nothing to do: they were already, or the record says nothing was changed
    left_alone, ///< somebody else has rebound the function meanwhile: it was not touched
};
std::ostream& operator<<(std::ostream& out, RestoreOutcome outcome);

struct RestoreResult {
    RestoreOutcome outcome = RestoreOutcome::unchanged;
    std::string note; ///< one sentence for people; for left_alone who has it now
};

/// Gives the function back to its earlier driver and override. Idempotent, and right after a crash
/// at any step of bind_to_vfio() or of itself.
///
/// While the probe runs, the override names the earlier driver, so that with two host drivers for
/// one device (nouveau, nvidia) the right one comes back; then it is set to the earlier override.
/// Throws Failure: device_in_use naming the holder, before any write; device_not_found;
/// driver_missing (the earlier driver is no longer loaded); bind_failed (it did not bind; the text
/// has the state now); host_timeout (unbind still under way).
RestoreResult restore_driver(const HostRoot& root, const BindRecord& record, Deadline deadline);

} // namespace kata_vfio::vfio
