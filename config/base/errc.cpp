// SPDX-License-Identifier: Apache-2.0
#include "config/base/errc.hpp"

#include <array>
#include <iterator>
#include <string>

namespace kata_vfio {
namespace {

constexpr auto rows = std::to_array<ErrcRow>({
    {Errc::ok, "ok", "done"},
    {Errc::internal, "internal", "a fault in kata-vfio itself"},
    {Errc::invalid_argument, "invalid_argument", "the request is malformed"},
    {Errc::malformed_address, "malformed_address", "not a PCI address of the form DDDD:BB:DD.F"},
    {Errc::malformed_uuid, "malformed_uuid", "not a UUID in lower case"},
    {Errc::malformed_device, "malformed_device", "not a way to name a device"},
    {Errc::malformed_sandbox_id, "malformed_sandbox_id", "not usable as a sandbox id"},
    {Errc::abi_mismatch, "abi_mismatch", "host and plugin disagree about the C ABI"},
    {Errc::config_invalid, "config_invalid", "the configuration can't be used"},
    {Errc::machine_refused, "machine_refused", "machine_type must be pc"},
    {Errc::root_bus_off, "root_bus_off", "hotplug_vfio_on_root_bus must be true"},
    {Errc::live_machine_refused, "live_machine_refused", "the running QEMU's machine is not pc"},
    {Errc::annotation_refused, "annotation_refused", "an annotation is not permitted"},
    {Errc::not_allowed, "not_allowed", "outside the configured allow-list"},
    {Errc::host_io, "host_io", "a host file could not be read or written"},
    {Errc::no_iommu, "no_iommu", "the host has no IOMMU groups"},
    {Errc::device_not_found, "device_not_found", "no such device on this host"},
    {Errc::not_a_vfio_node, "not_a_vfio_node", "not the node of a VFIO group or device"},
    {Errc::sandbox_not_found, "sandbox_not_found", "no such sandbox is open"},
    {Errc::group_not_viable, "group_not_viable", "a sibling in the IOMMU group blocks it"},
    {Errc::device_in_use, "device_in_use", "somebody else holds the device"},
    {Errc::no_instances, "no_instances", "the parent has no capacity left for the type"},
    {Errc::uuid_exists, "uuid_exists", "a mediated device with this UUID exists"},
    {Errc::type_not_found, "type_not_found", "no parent offers this mdev type"},
    {Errc::parent_not_found, "parent_not_found", "no such mdev parent"},
    {Errc::bind_failed, "bind_failed", "the wanted driver did not bind"},
    {Errc::removal_pending, "removal_pending", "the kernel still holds the removed vGPU"},
    {Errc::state_corrupt, "state_corrupt", "a state file is damaged"},
    {Errc::not_attached, "not_attached", "the device is not attached to this sandbox"},
    {Errc::already_attached, "already_attached", "the device is attached already"},
    {Errc::permission_denied, "permission_denied", "the kernel refused access"},
    {Errc::sandbox_busy, "sandbox_busy", "another process works on this sandbox"},
    {Errc::driver_missing, "driver_missing", "a kernel driver is not loaded"},
    {Errc::gvt_refused, "gvt_refused", "GVT-g does not serve this VM"},
    {Errc::limit_too_low, "limit_too_low", "a limit of QEMU or of the guest is too low"},
    {Errc::qemu_refused, "qemu_refused", "QEMU refused the command"},
    {Errc::monitor_missing, "monitor_missing", "the QMP socket does not exist"},
    {Errc::monitor_refused, "monitor_refused", "nobody listens on the QMP socket"},
    {Errc::monitor_busy, "monitor_busy", "another client holds the QMP monitor"},
    {Errc::not_qmp, "not_qmp", "the peer does not speak QMP"},
    {Errc::qemu_gone, "qemu_gone", "QEMU's connection ended"},
    {Errc::root_bus_full, "root_bus_full", "no free slot on the root bus"},
    {Errc::guest_not_ready, "guest_not_ready", "the guest's state does not allow it"},
    {Errc::qmp_protocol, "qmp_protocol", "QEMU's answer makes no sense here"},
    {Errc::qmp_timeout, "qmp_timeout", "QEMU did not answer in time"},
    {Errc::unplug_timeout, "unplug_timeout", "the guest did not let the device go in time"},
    {Errc::host_timeout, "host_timeout", "the kernel did not answer in time"},
    {Errc::cancelled, "cancelled", "the caller cancelled the request"},
});

const ErrcRow* find(Errc code) noexcept {
    for (const auto& row : rows)
        if (row.code == code)
            return &row;
    return nullptr;
}

class Category final : public std::error_category {
  public:
    const char* name() const noexcept override { return "kata_vfio"; }
    std::string message(int value) const override {
        return std::string(meaning(static_cast<Errc>(value)));
    }
};

} // namespace

std::string_view name(Errc code) noexcept {
    const auto* row = find(code);
    return row ? row->name : "unknown";
}

std::string_view meaning(Errc code) noexcept {
    const auto* row = find(code);
    return row ? row->meaning : "unknown error code";
}

int exit_status(Errc code) noexcept {
    switch (static_cast<int>(code) / 100) {
    case 0:
        return 0;
    case 7:
        return 130;
    case 2:
    case 3:
    case 4:
    case 5:
    case 6:
        return static_cast<int>(code) / 100;
    default:
        return 1;
    }
}

const ErrcRow* errc_begin() noexcept {
    return rows.data();
}
const ErrcRow* errc_end() noexcept {
    return rows.data() + rows.size();
}

const std::error_category& errc_category() noexcept {
    static const Category category;
    return category;
}

std::error_code make_error_code(Errc code) noexcept {
    return {static_cast<int>(code), errc_category()};
}

} // namespace kata_vfio
