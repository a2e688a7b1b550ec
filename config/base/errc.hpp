// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>
#include <system_error>

namespace kata_vfio {

/// Why something was refused or failed, for decisions (texts for people are in Failure).
///
/// The numbers are fixed for ever: they are the status values of the C ABI (kata_vfio.h) and of
/// --json, and the hundreds are the command line's exit status. A code is added at the end of its
/// hundred, never renumbered or reused. docs/errors.md explains each one and is checked against
/// this list by a test.
enum class Errc : int {
    ok = 0,

    // 1xx: a fault of our own.
    internal = 100,

    // 2xx: the request itself can't be taken; nothing was looked at.
    invalid_argument = 200,
    malformed_address = 201,    ///< not DDDD:BB:DD.F
    malformed_uuid = 202,       ///< not 8-4-4-4-12 lower-case hex digits
    malformed_device = 203,     ///< none of the forms a device request has
    malformed_sandbox_id = 204, ///< empty, too long, or a character that can't be in a file name
    abi_mismatch = 205,         ///< struct_size, version or a reserved field of the C ABI

    // 3xx: policy says no; nothing was touched.
    config_invalid = 300,       ///< the configuration can't be read, parsed or typed
    machine_refused = 301,      ///< machine_type is not `pc`
    root_bus_off = 302,         ///< hotplug_vfio_on_root_bus is not true
    live_machine_refused = 303, ///< the running QEMU's machine is not `pc`
    annotation_refused = 304,
    not_allowed = 305, ///< a type, parent or device outside the allow-lists

    // 4xx: the host or a device on it.
    host_io = 400, ///< a host file could not be read or written; errno is in the text
    no_iommu = 401,
    device_not_found = 402,
    not_a_vfio_node = 403,
    sandbox_not_found = 404,
    group_not_viable = 405,
    device_in_use = 406,
    no_instances = 407, ///< no available_instances, or the driver's ENOSPC/EUSERS
    uuid_exists = 408,
    type_not_found = 409,
    parent_not_found = 410,
    bind_failed = 411,     ///< another driver, or none, bound after the probe
    removal_pending = 412, ///< the kernel has not let the vGPU go yet
    state_corrupt = 413,   ///< a state file of ours can't be read as what it should be
    not_attached = 414,
    already_attached = 415,
    permission_denied = 416,
    sandbox_busy = 417, ///< another process works on this sandbox now
    driver_missing = 418,
    gvt_refused = 419,   ///< one GVT-g vGPU a VM, and only with KVM
    limit_too_low = 420, ///< of QEMU's process, or of the guest's address space

    // 5xx: QEMU refused, or can't be reached.
    qemu_refused = 500,    ///< an error reply we know no better name for
    monitor_missing = 501, ///< the socket's path does not exist
    monitor_refused = 502, ///< nobody listens on it
    monitor_busy = 503,    ///< another client holds the monitor
    not_qmp = 504,         ///< what answers there does not speak QMP
    qemu_gone = 505,       ///< the connection ended while we needed it
    root_bus_full = 506,
    guest_not_ready = 507, ///< prelaunch, stopped, or a state that can't take the request
    qmp_protocol = 508,    ///< a reply that QMP does not allow here

    // 6xx: a limit of time ran out.
    qmp_timeout = 600,
    unplug_timeout = 601,
    host_timeout = 602,

    // 7xx: the caller took it back.
    cancelled = 700,
};

/// The code's stable name in snake_case, e.g. "group_not_viable"; "unknown" for a foreign number.
std::string_view name(Errc code) noexcept;

/// The one-line meaning, as docs/errors.md has it.
std::string_view meaning(Errc code) noexcept;

/// The command line's exit status: 0, 1 (our own fault), 2 usage, 3 policy, 4 host or device,
/// 5 QEMU refused or unreachable, 6 timed out, 130 cancelled.
int exit_status(Errc code) noexcept;

/// Every code, in numeric order, for tables and tests.
struct ErrcRow {
    Errc code;
    std::string_view name;
    std::string_view meaning;
};
const ErrcRow* errc_begin() noexcept;
const ErrcRow* errc_end() noexcept;

const std::error_category& errc_category() noexcept;
std::error_code make_error_code(Errc code) noexcept;

} // namespace kata_vfio

template <>
struct std::is_error_code_enum<kata_vfio::Errc> : std::true_type {};
