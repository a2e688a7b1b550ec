// SPDX-License-Identifier: Apache-2.0
// A device request (line 1 the device, the rest the UUID): refused as documented, or what becomes a
// path below sysfs is a single component of it.
#include "runtime-plugin/plugin/device_request.hpp"
#include "test/fuzz/fuzz.hpp"

using namespace kata_vfio::plugin;

namespace kata_vfio::fuzz {
namespace {

void check_component(std::string_view name) {
    require(!name.empty() && name.size() <= 128 && name != "." && name != ".." &&
                name.find_first_of(std::string_view("/\0\n", 3)) == name.npos,
            "a type or parent is one path component");
}

void check(const DeviceRequest& request, std::string_view uuid) {
    if (const auto* node = std::get_if<NodeRequest>(&request))
        require(node->path.starts_with('/') && node->path.find('\0') == std::string::npos,
                "a node's path is absolute, and C sees all of it");
    if (const auto* vgpu = std::get_if<VgpuRequest>(&request)) {
        if (vgpu->type)
            check_component(*vgpu->type);
        if (vgpu->parent)
            check_component(*vgpu->parent);
        require(vgpu->uuid.has_value() == !uuid.empty(), "a UUID that is given is taken");
    } else {
        if (const auto* function = std::get_if<SriovRequest>(&request);
            function && function->parent)
            check_component(*function->parent);
        require(uuid.empty(), "a UUID comes only with a vGPU to be made");
    }
}

} // namespace

void one(std::string_view bytes) {
    const auto device = take_line(bytes);
    refusal({Errc::malformed_address, Errc::malformed_uuid, Errc::malformed_device,
             Errc::invalid_argument},
            [&] { check(parse_device(device, bytes), bytes); });
}

} // namespace kata_vfio::fuzz
