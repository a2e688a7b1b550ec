// SPDX-License-Identifier: Apache-2.0
// The header's numbers are Errc's: proved when this compiles.
#include "config/base/errc.hpp"
#include "runtime-plugin/abi/kata_vfio.h"

namespace {
using kata_vfio::Errc;
#define SAME(errc, value) static_assert(static_cast<int>(Errc::errc) == (value))
SAME(ok, KATA_VFIO_OK);
SAME(internal, KATA_VFIO_E_INTERNAL);
SAME(invalid_argument, KATA_VFIO_E_INVALID_ARGUMENT);
SAME(malformed_address, KATA_VFIO_E_MALFORMED_ADDRESS);
SAME(malformed_uuid, KATA_VFIO_E_MALFORMED_UUID);
SAME(malformed_device, KATA_VFIO_E_MALFORMED_DEVICE);
SAME(malformed_sandbox_id, KATA_VFIO_E_MALFORMED_SANDBOX_ID);
SAME(abi_mismatch, KATA_VFIO_E_ABI_MISMATCH);
SAME(config_invalid, KATA_VFIO_E_CONFIG_INVALID);
SAME(machine_refused, KATA_VFIO_E_MACHINE_REFUSED);
SAME(root_bus_off, KATA_VFIO_E_ROOT_BUS_OFF);
SAME(live_machine_refused, KATA_VFIO_E_LIVE_MACHINE_REFUSED);
SAME(annotation_refused, KATA_VFIO_E_ANNOTATION_REFUSED);
SAME(not_allowed, KATA_VFIO_E_NOT_ALLOWED);
SAME(host_io, KATA_VFIO_E_HOST_IO);
SAME(no_iommu, KATA_VFIO_E_NO_IOMMU);
SAME(device_not_found, KATA_VFIO_E_DEVICE_NOT_FOUND);
SAME(not_a_vfio_node, KATA_VFIO_E_NOT_A_VFIO_NODE);
SAME(sandbox_not_found, KATA_VFIO_E_SANDBOX_NOT_FOUND);
SAME(group_not_viable, KATA_VFIO_E_GROUP_NOT_VIABLE);
SAME(device_in_use, KATA_VFIO_E_DEVICE_IN_USE);
SAME(no_instances, KATA_VFIO_E_NO_INSTANCES);
SAME(uuid_exists, KATA_VFIO_E_UUID_EXISTS);
SAME(type_not_found, KATA_VFIO_E_TYPE_NOT_FOUND);
SAME(parent_not_found, KATA_VFIO_E_PARENT_NOT_FOUND);
SAME(bind_failed, KATA_VFIO_E_BIND_FAILED);
SAME(removal_pending, KATA_VFIO_E_REMOVAL_PENDING);
SAME(state_corrupt, KATA_VFIO_E_STATE_CORRUPT);
SAME(not_attached, KATA_VFIO_E_NOT_ATTACHED);
SAME(already_attached, KATA_VFIO_E_ALREADY_ATTACHED);
SAME(permission_denied, KATA_VFIO_E_PERMISSION_DENIED);
SAME(sandbox_busy, KATA_VFIO_E_SANDBOX_BUSY);
SAME(driver_missing, KATA_VFIO_E_DRIVER_MISSING);
SAME(gvt_refused, KATA_VFIO_E_GVT_REFUSED);
SAME(limit_too_low, KATA_VFIO_E_LIMIT_TOO_LOW);
SAME(qemu_refused, KATA_VFIO_E_QEMU_REFUSED);
SAME(monitor_missing, KATA_VFIO_E_MONITOR_MISSING);
SAME(monitor_refused, KATA_VFIO_E_MONITOR_REFUSED);
SAME(monitor_busy, KATA_VFIO_E_MONITOR_BUSY);
SAME(not_qmp, KATA_VFIO_E_NOT_QMP);
SAME(qemu_gone, KATA_VFIO_E_QEMU_GONE);
SAME(root_bus_full, KATA_VFIO_E_ROOT_BUS_FULL);
SAME(guest_not_ready, KATA_VFIO_E_GUEST_NOT_READY);
SAME(qmp_protocol, KATA_VFIO_E_QMP_PROTOCOL);
SAME(qmp_timeout, KATA_VFIO_E_QMP_TIMEOUT);
SAME(unplug_timeout, KATA_VFIO_E_UNPLUG_TIMEOUT);
SAME(host_timeout, KATA_VFIO_E_HOST_TIMEOUT);
SAME(cancelled, KATA_VFIO_E_CANCELLED);
#undef SAME
} // namespace
