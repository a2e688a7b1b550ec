// SPDX-License-Identifier: Apache-2.0
#include "qemu/qmp/error.hpp"

#include <array>

namespace kata_vfio::qemu {
namespace {

/// Matches when every fragment that is not "" occurs in the text, in this order. First row wins, so
/// the precise stand before the general.
struct Pattern {
    std::string_view first, second;
    Classified meaning;
};

constexpr std::string_view node_missing =
    "the group's node is missing where QEMU runs: bind the function to vfio-pci, and make the node "
    "visible in QEMU's jail";
constexpr std::string_view node_busy =
    "another process, probably another sandbox's QEMU, has the group open: detach it there first";
constexpr std::string_view node_denied =
    "give QEMU's user read and write access to the node, and allow it in QEMU's device cgroup";

// Strings of QEMU 7.2 and 10.0: hw/vfio/{pci,common,container,helpers,display}.c, hw/pci/pci.c,
// softmmu/qdev-monitor.c, hw/acpi/pcihp.c. Match on fragments: the vfio ones begin with "vfio NAME:
// ".
constexpr auto patterns = std::to_array<Pattern>({
    // vfio-pci's realize
    {"No provided host device", "", {Errc::invalid_argument, {}, "name the device with sysfsdev"}},
    {"no such host device",
     "",
     {Errc::device_not_found, {}, "the device is gone from the host, or hidden from QEMU's jail"}},
    {"no iommu_group found",
     "",
     {Errc::no_iommu,
      {},
      "boot the host with intel_iommu=on (or amd_iommu=on) and VT-d enabled in "
      "the firmware; the device must be in an IOMMU group"}},
    {"/dev/vfio/vfio",
     "No such file",
     {Errc::driver_missing, {}, "load the vfio and vfio_iommu_type1 modules"}},
    {"/dev/vfio/vfio", "denied", {Errc::permission_denied, {}, node_denied}},
    {"/dev/vfio/vfio", "not permitted", {Errc::permission_denied, {}, node_denied}},
    {"/dev/vfio/", "No such file", {Errc::device_not_found, {}, node_missing}},
    {"/dev/vfio/", "busy", {Errc::device_in_use, {}, node_busy}},
    {"/dev/vfio/", "denied", {Errc::permission_denied, {}, node_denied}},
    {"/dev/vfio/", "not permitted", {Errc::permission_denied, {}, node_denied}},
    {"group ",
     "is not viable",
     {Errc::group_not_viable, {}, "bind every device of the group to vfio-pci or to no driver"}},
    {"error getting device from group",
     "",
     {Errc::bind_failed,
      {},
      "bind the function to vfio-pci; for a vGPU, see that it still exists"}},
    {"device is already attached",
     "",
     {Errc::already_attached, {}, "this QEMU has the device already: detach it first"}},
    {"No available IOMMU models",
     "",
     {Errc::no_iommu, {}, "load vfio_iommu_type1 and see that the host's IOMMU is on"}},
    {"dma_map",
     "Cannot allocate memory",
     {Errc::qemu_refused,
      {},
      "raise QEMU's RLIMIT_MEMLOCK to the guest's memory plus 1 GiB: VFIO pins "
      "all of it"}},
    {"dma_map",
     "Invalid argument",
     {Errc::qemu_refused,
      {},
      "the guest's memory map exceeds the host IOMMU's address width: lower "
      "maxmem, or host-phys-bits-limit of the CPU model"}},
    {"failed to setup container",
     "",
     {Errc::qemu_refused, {}, "see the host's kernel log for what its IOMMU refused"}},
    {"doesn't support any (known) display method",
     "",
     {Errc::qemu_refused, {}, "leave display out or set it to off: this vGPU has no display"}},
    {"vfio-display-dmabuf",
     "",
     {Errc::qemu_refused, {}, "start QEMU with OpenGL or set display to off"}},
    {"OpRegion",
     "on hotplugged device",
     {Errc::qemu_refused, {}, "leave x-igd-opregion out of a hot-plug"}},
    {"Use FD passing only with iommufd backend",
     "",
     {Errc::qemu_refused, {}, "add an iommufd object, or use sysfsdev"}},
    {"VFIO devices migration is supported only",
     "",
     {Errc::qemu_refused, {}, "set enable-migration to off for this device"}},

    // the bus and the machine
    {"Bus 'pcie.0' does not support hotplugging",
     "",
     {Errc::live_machine_refused,
      {},
      "this sandbox runs on machine q35: start it with machine_type "
      "\"pc\""}},
    {"does not support hotplugging", "", {Errc::qemu_refused, {}, "use the hot-pluggable model"}},
    {"expects a pluggable device type",
     "",
     {Errc::qemu_refused, {}, "use the hot-pluggable model"}},
    {"Bus '", "' not found", {Errc::qemu_refused, {}, "machine pc has its root bus as pci.0"}},
    {"no slot/function available",
     "",
     {Errc::root_bus_full, Refusal::bus_full, "detach a device of this sandbox first"}},
    {"Bus '",
     "is full",
     {Errc::root_bus_full, Refusal::bus_full, "detach a device of this sandbox first"}},
    {"not available for",
     "in use by",
     {Errc::invalid_argument, Refusal::slot_taken, "leave addr out or choose a free slot"}},
    {"already occupied by",
     "",
     {Errc::invalid_argument, Refusal::slot_taken, "leave addr out or choose a free slot"}},
    {"acpi-pcihp-bsel",
     "",
     {Errc::qemu_refused,
      {},
      "start QEMU with ACPI hot-plug on the root bus "
      "(PIIX4_PM.acpi-root-pci-hotplug=on)"}},
    {"unsupported by the port device", "", {Errc::qemu_refused, {}, "use the root bus pci.0"}},

    // device_add and device_del
    {"Duplicate device ID",
     "",
     {Errc::already_attached, Refusal::duplicate_id, "detach the device of this id first"}},
    {"is not a valid device model name",
     "",
     {Errc::qemu_refused,
      {},
      "this QEMU is built without the device model: install the QEMU that has it"}},
    {"expects an identifier", "", {Errc::invalid_argument, {}, "an id is [A-Za-z][A-Za-z0-9._-]*"}},
    {"Property '",
     "not found",
     {Errc::qemu_refused,
      {},
      "this QEMU's device model has no such property: ask it with "
      "device-list-properties"}},
    {"already in the process of unplug",
     "",
     {Errc::guest_not_ready, Refusal::unplug_pending,
      "the guest has not let the device go yet: wait for "
      "it, or see that it has booted"}},
    {"guest is busy",
     "",
     {Errc::guest_not_ready, Refusal::unplug_busy, "try again in a few seconds"}},
    {"not allowed while migrating",
     "",
     {Errc::guest_not_ready, {}, "wait for the migration to end"}},

    // the session itself
    {"Expecting capabilities negotiation", "", {Errc::qmp_protocol, {}, ""}},
    {"negotiation is already complete",
     "",
     {Errc::qmp_protocol, {}, "hand over a connection that nobody has used"}},
    {"has been disabled",
     "",
     {Errc::qemu_refused, {}, "this monitor is restricted: use QEMU's own socket"}},
});

constexpr bool matches(const Pattern& row, std::string_view text) noexcept {
    const auto at = text.find(row.first);
    return at != std::string_view::npos &&
           text.find(row.second, at + row.first.size()) != std::string_view::npos;
}

} // namespace

Classified classify(std::string_view command, std::string_view error_class, std::string_view desc) {
    for (const auto& row : patterns)
        if (matches(row, desc))
            return row.meaning;
    if (error_class == "DeviceNotFound" && command == "device_del")
        return {Errc::not_attached, Refusal::device_not_found,
                "QEMU has no such device (any more)"};
    if (error_class == "DeviceNotFound")
        return {Errc::qemu_refused, Refusal::device_not_found, ""};
    if (error_class == "CommandNotFound")
        return {Errc::qemu_refused, Refusal::other,
                "this QEMU is too old, or its monitor restricted"};
    if (error_class == "KVMMissingCap")
        return {Errc::qemu_refused, Refusal::other, "the host's KVM lacks what the command needs"};
    return {};
}

QmpFailure::QmpFailure(std::string command, std::string error_class, std::string desc)
    : QmpFailure(classify(command, error_class, desc), command, error_class, desc) {}

QmpFailure::QmpFailure(const Classified& what, std::string command, std::string error_class,
                       std::string desc)
    : Failure(what.code, "QEMU refused " + command + " (" +
                             (error_class.empty() ? std::string("no class") : error_class) + ')'),
      command_(std::move(command)), error_class_(std::move(error_class)), refusal_(what.refusal) {
    said(std::move(desc));
    if (!what.remedy.empty())
        remedy(std::string(what.remedy));
}

CommandLost::CommandLost(const Failure& why, std::string where, std::string command, bool sent)
    : Failure(why.code(), why.problem() + "; connection lost, " +
                              (sent ? "whether it was done is not known" : "it was not sent")),
      where_(std::move(where)), command_(std::move(command)), sent_(sent) {
    during(command_);
    if (why.sys_errno() != 0)
        sys(why.sys_errno());
    else if (!why.verbatim().empty())
        said(why.verbatim());
    if (!why.blocker().empty())
        blocked_by(why.blocker());
    if (!why.advice().empty())
        remedy(why.advice());
}

} // namespace kata_vfio::qemu
