// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/schema.hpp"
#include "mdev/placement.hpp"
#include "mdev/uuid.hpp"
#include "vfio/pci_address.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace kata_vfio::plugin {

/// What a device request names, told apart by its shape alone: nothing on the host is looked at.
struct NodeRequest {
    std::string path; ///< absolute; whether it is a VFIO node is seen when it is resolved
};
struct DevnumRequest {
    unsigned major = 0, minor = 0; ///< as in the OCI spec's linux.devices
};
struct FunctionRequest {
    vfio::PciAddress address;
};
struct MdevRequest {
    mdev::Uuid uuid;
};
struct VgpuRequest {
    /// mdev type id, as the directory is named; none: the smallest that has the minimum.
    std::optional<std::string> type;
    std::optional<std::string> parent; ///< a BDF for a GPU, the driver's own name otherwise
    std::optional<mdev::Uuid> uuid;    ///< asked for by the caller; none = random
    mdev::VgpuMinimum minimum;
    bool keep = false; ///< it stays when it is detached
};
/// A virtual function of a physical one (SR-IOV): "sriov" or "sriov@PARENT".
struct SriovRequest {
    std::optional<std::string> parent; ///< a BDF
};
using DeviceRequest = std::variant<NodeRequest, DevnumRequest, FunctionRequest, MdevRequest,
                                   VgpuRequest, SriovRequest>;

/// Reads `device` (see kata_vfio_attach_t.device) and, for a vGPU to be made, `uuid`. A vGPU by
/// what it must have at least is "vgpu:low_gm=128MB,resolution=1920x1200[@PARENT]", its keys those
/// of [vfio.vgpu]. Throws malformed_address, malformed_uuid, malformed_device, or invalid_argument
/// when a UUID is given with a device that exists already.
DeviceRequest parse_device(std::string_view device, std::string_view uuid = {});

/// A vGPU of [vfio.vgpu] as a request's text: "TYPE[@PARENT]" where only that is asked for.
std::string vgpu_device(const config::Vgpu& wanted);

} // namespace kata_vfio::plugin
