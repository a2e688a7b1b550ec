// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "test/abi/library.hpp"

#include <boost/json/value.hpp>

#include <cstdint>
#include <iosfwd>
#include <string>
#include <vector>

namespace kata_vfio::abi_test {

/// A kata_vfio_attachment_t, copied.
struct Attached {
    std::uint32_t kind = 0;
    std::string sandbox, device, id, host_address, uuid, mdev_type, sysfsdev, guest_address;
    std::int32_t iommu_group = -1;
    bool owned = false;
    std::uint32_t flags = 0; ///< KATA_VFIO_ATTACHMENT_*
};

/// A kata_vfio_sandbox_info_t, copied.
struct SandboxInfo {
    std::string id, qmp_socket, machine;
};

/// How a call ended: a kata_vfio_result_t, copied, so that it outlives callback and result_free().
struct Answer {
    kata_vfio_status_t status = KATA_VFIO_OK;
    std::uint64_t ticket = 0;
    std::string message, action, problem, said, blocker, remedy;
    kata_vfio_sandbox_t* sandbox = nullptr;
    std::vector<Attached> attachments;
    std::vector<SandboxInfo> sandboxes;
    boost::json::value json;

    Answer() = default;
    explicit Answer(const kata_vfio_result_t& result);

    bool ok() const { return status == KATA_VFIO_OK; }
};
/// Status name and message, for a failed EXPECT.
std::ostream& operator<<(std::ostream& out, const Answer& answer);

} // namespace kata_vfio::abi_test
