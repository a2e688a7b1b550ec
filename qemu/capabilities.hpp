// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "qemu/qmp/session.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/json/value.hpp>

#include <string_view>

namespace kata_vfio::qemu {

/// What this QEMU can do, as it says itself. A version tells nothing: distributions patch and build
/// without parts.
struct Capabilities {
    bool sysfsdev = false, fd = false, iommufd = false; ///< properties of vfio-pci
    bool iommufd_object = false;                        ///< object-add takes qom-type iommufd
    bool unplug_guest_error = false;                    ///< DEVICE_UNPLUG_GUEST_ERROR exists

    /// device_add vfio-pci,iommufd=ID works with this QEMU; the host is another question.
    bool takes_iommufd() const noexcept { return iommufd && iommufd_object; }
    bool operator==(const Capabilities&) const = default;
};

/// From the return values of `query-qmp-schema` (qapi/introspect.json; types' names are masked to
/// numbers, those of commands, events and branches are real) and `device-list-properties vfio-pci`.
/// What is missing or of another shape reads as false. Never throws (but std::bad_alloc).
Capabilities parse_capabilities(const boost::json::value& schema,
                                const boost::json::value& vfio_pci_properties);

/// Asks for the two when it is made and takes the answers later, so that they cost no round trip
/// where there is something else to do meanwhile. 210 to 240 KB come back: some ms of QEMU's main
/// loop, so ask once in a session, and only when the answer matters. `session` must outlive it.
class CapabilityProbe {
  public:
    explicit CapabilityProbe(Session& session);

    /// Once. A QEMU that refuses a question (no vfio-pci built in, a restricted monitor) can
    /// nothing of what it was asked for. Throws Failure: qmp_timeout, qmp_protocol, cancelled, what
    /// the session was lost with.
    boost::asio::awaitable<Capabilities> finish();

  private:
    Session& session_;
    Submitted schema_, properties_;
};

/// The id of our iommufd object in QEMU. One serves all devices of a sandbox: they then share one
/// mapping of the guest's memory.
inline constexpr std::string_view iommufd_id = "vfio-iommufd";

/// object-add of it. QEMU opens /dev/iommu with the first device only (backends/iommufd.c). Sent
/// ahead of the device_add that names it, its answer need not be waited for: an object of an
/// earlier connection is refused as a duplicate and serves as well, and one that QEMU can't make
/// shows in the device_add.
Command add_iommufd();

} // namespace kata_vfio::qemu
