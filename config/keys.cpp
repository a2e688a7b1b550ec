// SPDX-License-Identifier: Apache-2.0
#include "config/keys.hpp"

#include "config/daemon_keys.hpp"

#include <limits>

namespace kata_vfio::config {
namespace {

constexpr std::int64_t int32_min = std::numeric_limits<std::int32_t>::min();
constexpr std::int64_t int32_max = std::numeric_limits<std::int32_t>::max();
// A limit of zero would refuse everything, and one of hours is a typing error: ten minutes is far
// beyond any answer of a kernel or a QEMU that still lives.
constexpr std::int64_t shortest = 1, longest = 600000;

#define SLOT(member) [](Configuration& c) -> Slot { return &c.member; }

std::vector<Key> hypervisor_keys() {
    constexpr std::string_view t = "hypervisor.qemu";
    return {
        {.table = t,
         .name = "path",
         .slot = SLOT(hypervisor.path),
         .annotation = true,
         .paths = PathList::hypervisor_paths,
         .since = "Kata 1.x",
         .doc = "The QEMU binary that sandboxes are started with."},
        {.table = t,
         .name = "kernel",
         .slot = SLOT(hypervisor.kernel),
         .annotation = true,
         .paths = PathList::guest_files,
         .since = "Kata 1.x",
         .doc = "The guest kernel. A GPU needs one with its driver, e.g. "
                "/usr/share/kata-containers/vmlinuz-intel-gpu.container."},
        {.table = t,
         .name = "image",
         .slot = SLOT(hypervisor.image),
         .annotation = true,
         .paths = PathList::guest_files,
         .since = "Kata 1.x",
         .doc = "The guest's root filesystem image. Not together with initrd."},
        {.table = t,
         .name = "initrd",
         .slot = SLOT(hypervisor.initrd),
         .annotation = true,
         .paths = PathList::guest_files,
         .since = "Kata 1.x",
         .doc = "The guest's initial ramdisk. Not together with image."},
        {.table = t,
         .name = "machine_type",
         .slot = SLOT(hypervisor.machine_type),
         .annotation = true,
         .since = "Kata 1.x",
         .doc = "Must be pc, or a versioned pc-i440fx-*: only its root bus pci.0 takes hot-plugged "
                "devices. Kata itself defaults to q35 from 2.2 on, which is refused here."},
        {.table = t,
         .name = "machine_accelerators",
         .slot = SLOT(hypervisor.machine_accelerators),
         .annotation = true,
         .since = "Kata 1.x",
         .doc = "Machine options appended to QEMU's -machine, separated by commas. They can't "
                "change the machine's type."},
        {.table = t,
         .name = "kernel_params",
         .slot = SLOT(hypervisor.kernel_params),
         .annotation = true,
         .since = "Kata 1.x",
         .doc = "More parameters for the guest kernel, separated by spaces, in one line of at most "
                "2047 bytes."},
        {.table = t,
         .name = "firmware",
         .slot = SLOT(hypervisor.firmware),
         .annotation = true,
         .paths = PathList::guest_files,
         .since = "Kata 1.x",
         .doc = "The guest's firmware; empty is QEMU's own SeaBIOS, which places large BARs on the "
                "root bus."},
        {.table = t,
         .name = "cpu_features",
         .slot = SLOT(hypervisor.cpu_features),
         .annotation = true,
         .since = "Kata 1.x",
         .doc = "CPU features appended to QEMU's -cpu, separated by commas."},
        {.table = t,
         .name = "default_vcpus",
         .slot = SLOT(hypervisor.default_vcpus),
         .min = int32_min,
         .max = int32_max,
         .annotation = true,
         .fraction = true,
         .since = "Kata 1.x",
         .doc = "vCPUs of a sandbox. 0 is 1; below 0, or more than the host has, is all of the "
                "host's. A fraction is rounded up."},
        {.table = t,
         .name = "default_maxvcpus",
         .slot = SLOT(hypervisor.default_maxvcpus),
         .min = 0,
         .max = int32_max,
         .since = "Kata 1.x",
         .doc = "The most vCPUs a sandbox can grow to; 0 is all of the host's."},
        {.table = t,
         .name = "default_memory",
         .slot = SLOT(hypervisor.default_memory),
         .unit = "MiB",
         .min = 256,
         .max = int32_max,
         .annotation = true,
         .since = "Kata 1.x",
         .doc = "Memory of a sandbox. VFIO pins all of it while a device is plugged, so "
                "RLIMIT_MEMLOCK "
                "must allow it."},
        {.table = t,
         .name = "memory_slots",
         .slot = SLOT(hypervisor.memory_slots),
         .min = 0,
         .max = 256,
         .annotation = true,
         .since = "Kata 1.x",
         .doc = "How many times memory can be added to a running sandbox; 256 is the pc machine's "
                "limit."},
        {.table = t,
         .name = "default_bridges",
         .slot = SLOT(hypervisor.default_bridges),
         .min = 0,
         .max = 5,
         .annotation = true,
         .since = "Kata 1.x",
         .doc = "PCI bridges a sandbox starts with; 0 is 1. Each takes a slot of the root bus."},
        {.table = t,
         .name = "hotplug_vfio_on_root_bus",
         .slot = SLOT(hypervisor.hotplug_vfio_on_root_bus),
         .annotation = true,
         .since = "Kata 1.3 to 3.1",
         .doc = "Must be true: devices go on the root bus, since the firmware can't place large "
                "BARs behind a bridge. `kata-vfio config enable` sets it."},
        {.table = t,
         .name = "enable_iommu",
         .slot = SLOT(hypervisor.enable_iommu),
         .annotation = true,
         .since = "Kata 1.x",
         .doc = "A virtual IOMMU in the guest. Must be false: Kata gives one to q35 only."},
        {.table = t,
         .name = "enable_debug",
         .slot = SLOT(hypervisor.enable_debug),
         .annotation = true,
         .since = "Kata 1.x",
         .doc = "Guest console and hypervisor messages in the log."},
        {.table = t,
         .name = "extra_monitor_socket",
         .slot = SLOT(hypervisor.extra_monitor_socket),
         .choices = {"", "hmp", "qmp", "qmp-pretty"},
         .since = "Kata 3.x",
         .doc =
             "A second monitor socket for debugging, with enable_debug only. Whoever can open it "
             "rules the sandbox."},
        {.table = t,
         .name = "enable_annotations",
         .slot = SLOT(hypervisor.enable_annotations),
         .regexes = true,
         .since = "Kata 1.13",
         .doc =
             "Regular expressions (ECMAScript); an annotation "
             "io.katacontainers.config.hypervisor.NAME is heeded if NAME as a whole matches one. "
             "None matches: the sandbox is refused."},
        {.table = t,
         .name = "valid_hypervisor_paths",
         .slot = SLOT(hypervisor.valid_hypervisor_paths),
         .since = "Kata 1.13",
         .doc = "Glob patterns the annotation path must match; none given: it is refused."},
    };
}

std::vector<Key> runtime_keys() {
    return {
        {.table = "runtime",
         .name = "enable_debug",
         .slot = SLOT(runtime.enable_debug),
         .since = "Kata 1.x",
         .doc = "Messages at debug level in the log."},
        {.table = "runtime",
         .name = "vfio_mode",
         .slot = SLOT(runtime.vfio_mode),
         .choices = {"guest-kernel", "vfio"},
         .since = "Kata 2.x",
         .doc = "How a container sees its device: through the guest kernel's driver (for a GPU "
                "/dev/dri), or as a VFIO node in the guest."},
        {.table = "runtime",
         .name = "sandbox_cgroup_only",
         .slot = SLOT(runtime.sandbox_cgroup_only),
         .since = "Kata 1.x",
         .doc = "All host processes of a sandbox in one cgroup, which must then allow its VFIO "
                "nodes."},
        {.table = "agent.kata",
         .name = "enable_debug",
         .slot = SLOT(agent.enable_debug),
         .since = "Kata 1.x",
         .doc = "The guest agent's messages at debug level."},
        {.table = "agent.kata",
         .name = "kernel_modules",
         .slot = SLOT(agent.kernel_modules),
         .since = "Kata 1.x",
         .doc = "Modules to load in the guest, each with its parameters, e.g. \"i915 "
                "enable_ppgtt=0\"."},
        {.table = "agent.kata",
         .name = "dial_timeout",
         .slot = SLOT(agent.dial_timeout),
         .unit = "s",
         .min = 1,
         .max = 3600,
         .since = "Kata 2.x",
         .doc = "How long a sandbox's agent may take to answer the first time."},
    };
}

std::vector<Key> vfio_keys() {
    constexpr std::string_view since = "kata-vfio 0.1";
    return {
        {.table = "vfio",
         .name = "state_dir",
         .slot = SLOT(vfio.state_dir),
         .since = since,
         .doc = "Absolute directory of the sandboxes' state, shared by all instances on a host. A "
                "tmpfs: what it says ends with the boot."},
        {.table = "vfio",
         .name = "allowed_types",
         .slot = SLOT(vfio.allowed_types),
         .since = since,
         .doc = "Glob patterns of the mdev types that may be created, e.g. \"i915-GVTg_V4_*\"; an "
                "empty list allows none."},
        {.table = "vfio",
         .name = "allowed_parents",
         .slot = SLOT(vfio.allowed_parents),
         .since = since,
         .doc =
             "Glob patterns of the parents (as in /sys/class/mdev_bus) that mdevs may be created "
             "on or used from."},
        {.table = "vfio",
         .name = "allowed_devices",
         .slot = SLOT(vfio.allowed_devices),
         .since = since,
         .doc = "Glob patterns of the PCI functions, as DDDD:BB:DD.F, that may be passed through."},
        {.table = "vfio",
         .name = "allowed_guest_files",
         .slot = SLOT(vfio.allowed_guest_files),
         .since = since,
         .doc = "Glob patterns the annotations kernel, image, initrd and firmware must match; none "
                "given: they are refused."},
        {.table = "vfio",
         .name = "qmp_log",
         .slot = SLOT(vfio.qmp_log),
         .since = since,
         .doc = "Record what goes over each sandbox's QMP connection, in wire.log of its state "
                "directory, for `kata-vfio trace` (docs/qmp-debugging.md)."},
        {.table = "vfio",
         .name = "qmp_log_max_bytes",
         .slot = SLOT(vfio.qmp_log_max_bytes),
         .unit = "bytes",
         .min = 65536,
         .max = 268435456,
         .since = since,
         .doc = "At what size wire.log becomes wire.log.1 and a new one is begun. An attach and a "
                "detach take some 5 kB; a message longer than this has a file of its own."},
        {.table = "vfio",
         .name = "qmp_log_files",
         .slot = SLOT(vfio.qmp_log_files),
         .min = 1,
         .max = 100,
         .since = since,
         .doc = "How many such files a sandbox keeps, wire.log included; the oldest goes first."},
        {.table = "vfio",
         .name = "qmp_log_redact",
         .slot = SLOT(vfio.qmp_log_redact),
         .since = since,
         .doc = "Members whose values the log has as \"[redacted]\": a name, wherever it stands, "
                "or a path from the message's top, e.g. \"arguments.password\". What QEMU gets "
                "stays as it is."},
        {.table = "vfio",
         .name = "qmp_proxy",
         .slot = SLOT(vfio.qmp_proxy),
         .choices = {"off", "read-only", "unsafe"},
         .since = since,
         .doc = "A QMP socket for people and tools at STATE_DIR/sandboxes/ID/qmp.sock while the "
                "sandbox is open (docs/qmp-debugging.md): read-only passes what only looks, unsafe "
                "everything, and marks the sandbox tainted."},
        {.table = "vfio",
         .name = "iommufd",
         .slot = SLOT(vfio.iommufd),
         .choices = {"off", "auto"},
         .since = since,
         .doc = "auto plugs a device through /dev/iommu and its own node (/dev/vfio/devices/vfioN) "
                "where the host's kernel has both (6.6 and on) and QEMU takes it (9.0 and on), "
                "through its group's node otherwise; QEMU's jail and cgroup must then allow the "
                "two. off, the default, is the group's node everywhere: what every kernel and "
                "QEMU has, and what hosts' device cgroups are written for."},
    };
}

Key timeout(std::string_view name, Slot (*slot)(Configuration&), std::string_view doc) {
    return {.table = "vfio.timeouts",
            .name = name,
            .slot = slot,
            .unit = "ms",
            .min = shortest,
            .max = longest,
            .since = "kata-vfio 0.1",
            .doc = doc};
}

std::vector<Key> timeout_keys() {
    return {
        timeout("greeting", SLOT(vfio.timeouts.greeting),
                "QEMU's greeting after connecting. A monitor serves one client; a second one "
                "connects and hears nothing, which this tells from a hung QEMU. 5 s, since a QEMU "
                "that is still building its machine greets late."),
        timeout("query", SLOT(vfio.timeouts.query),
                "The answer to a query (query-pci, query-status, qom-get): 1 or 2 ms, unless "
                "QEMU's main loop is held up, by a device_add on another monitor for example. 5 s "
                "are above the 3 s that one of a whole function took; limits of 0.25 s are known "
                "to fail."),
        timeout(
            "device_add", SLOT(vfio.timeouts.device_add),
            "The answer to device_add. VFIO is slow: QEMU resets the device and pins all guest "
            "memory before it answers, 40 ms for a vGPU, 3 s and more for a function of a large "
            "guest; users met limits of 5 s and shorter, and 30 s is where other managers of "
            "QEMU ended up."),
        timeout("device_del", SLOT(vfio.timeouts.device_del),
                "The answer to device_del, which only asks the guest but may wait behind a "
                "device_add in QEMU's main loop: hence the same 30 s."),
        timeout("unplug", SLOT(vfio.timeouts.unplug),
                "From device_del to DEVICE_DELETED, repetitions included. A settled guest takes "
                "under 0.1 s; one that is booting loses every request until it has ACPI, and "
                "libvirt's limit of 5 s gives up too early. 20 s is a guest's boot and several "
                "repetitions."),
        timeout("unplug_resend", SLOT(vfio.timeouts.unplug_resend),
                "After how long an unanswered device_del is sent again: a guest still booting "
                "loses the first. 2 s suits ACPI on the pc machine: QEMU takes a repetition after "
                "1 ms, a guest at work needs under 0.1 s. Must be below unplug."),
        timeout("reconnect", SLOT(vfio.timeouts.reconnect),
                "From a lost QMP connection until reconnecting is given up, for now: the next "
                "call tries again. QEMU itself takes us back at once, and one that has ended "
                "refuses at once; what takes time is another client that got the monitor first."),
        timeout("unresponsive", SLOT(vfio.timeouts.unresponsive),
                "How long QEMU may owe the answer to its oldest command before it is reported as "
                "unresponsive; commands keep their own limits. Between what a device_add that pins "
                "a large guest takes (seconds) and the limit of device_add, so that the report "
                "comes before the failure."),
        timeout("host_write", SLOT(vfio.timeouts.host_write),
                "A write to sysfs that may block: removing an mdev or unbinding a function waits "
                "in the kernel for whoever has it open, and no signal ends that. 10 s outlast a "
                "QEMU that is ending and unpins its guest's memory."),
        timeout("device_node", SLOT(vfio.timeouts.device_node),
                "The appearance of a device or its /dev/vfio node after creating or binding it: "
                "1 ms by the kernel, but udev may be behind by seconds on a busy host, hence 5 s."),
    };
}

std::vector<Key> all_keys() {
    std::vector<Key> rows;
    for (auto part :
         {hypervisor_keys(), runtime_keys(), vfio_keys(), timeout_keys(), daemon_keys()})
        rows.insert(rows.end(), part.begin(), part.end());
    return rows;
}

} // namespace

const std::vector<Key>& keys() {
    static const std::vector<Key> rows = all_keys();
    return rows;
}

const Key* find_key(std::string_view table, std::string_view name) {
    for (const auto& key : keys())
        if (key.table == table && key.name == name)
            return &key;
    return nullptr;
}

} // namespace kata_vfio::config
