// SPDX-License-Identifier: Apache-2.0
#include "config/vfio_keys.hpp"

namespace kata_vfio::config {
namespace {

// A limit of zero would refuse everything, and one of hours is a typing error: ten minutes is far
// beyond any answer of a kernel or a QEMU that still lives.
constexpr std::int64_t shortest = 1, longest = 600000;

#define SLOT(member) [](Configuration& c) -> Slot { return &c.member; }

std::vector<Key> top_keys() {
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
         .doc = "Glob patterns of the parents (as in /sys/class/mdev_bus; for SR-IOV the physical "
                "function's BDF) that mdevs and virtual functions may be made on or used from."},
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
        {.table = "vfio",
         .name = "placement",
         .slot = SLOT(vfio.placement),
         .choices = {"pack", "spread"},
         .since = since,
         .doc =
             "Which of several parents a vGPU is made on: pack, the one with the least left that "
             "has room, so that whole GPUs stay free; spread, the one with the most left. Before "
             "that the type that fits best counts, and the parent's NUMA node."},
        {.table = "vfio",
         .name = "take_siblings",
         .slot = SLOT(vfio.take_siblings),
         .choices = {"no", "audio", "all"},
         .since = since,
         .doc =
             "What becomes of a function's siblings in its IOMMU group that are on a host driver: "
             "no, the attach is refused, naming them; audio, the audio function of a GPU's own "
             "slot is bound and plugged with it; all, every sibling is. Each must be in "
             "allowed_devices too."},
        {.table = "vfio",
         .name = "sriov_functions",
         .slot = SLOT(vfio.sriov_functions),
         .min = 0,
         .max = 65535,
         .since = since,
         .doc = "How many virtual functions of a physical one are enabled (SR-IOV) when the first "
                "sandbox wants one of it and it has none; 0 is all it can have. A GPU's memory is "
                "divided by that number."},
        {.table = "vfio",
         .name = "chown_nodes",
         .slot = SLOT(vfio.chown_nodes),
         .since = since,
         .doc = "Of a QEMU that runs as a user of its own: whether a /dev/vfio/N that this user "
                "can't open is made that user's for as long as it is attached. Otherwise the "
                "attach is refused. rootless in [hypervisor.qemu] has it too."},
        {.table = "vfio",
         .name = "rootless_uids",
         .slot = SLOT(vfio.rootless_uids),
         .since = since,
         .doc = "FIRST-LAST: the user ids that rootless in [hypervisor.qemu] gives to QEMUs, each "
                "to one sandbox at a time and with the group id of the same number. Nobody else "
                "may have any of them; the default is a range that systemd leaves unused."},
        {.table = "vfio",
         .name = "gpu",
         .slot = SLOT(vfio.gpu),
         .annotation = true,
         .annotation_name = "gpu",
         .since = since,
         .doc = "A PCI function, as DDDD:BB:DD.F, that a sandbox gets when it is opened, and gives "
                "back with its end. Of use as an annotation; in the file, for a host with one "
                "sandbox."},
    };
}

std::vector<Key> vgpu_keys() {
    constexpr std::string_view t = "vfio.vgpu", since = "kata-vfio 0.1";
    return {
        {.table = t,
         .name = "type",
         .slot = SLOT(vfio.vgpu.type),
         .annotation = true,
         .annotation_name = "vgpu_type",
         .since = since,
         .doc =
             "The mdev type of the vGPU that a sandbox gets when it is opened, and that goes with "
             "it. Without type, low_gm, high_gm, fence, resolution and weight it gets none."},
        {.table = t,
         .name = "parent",
         .slot = SLOT(vfio.vgpu.parent),
         .annotation = true,
         .annotation_name = "vgpu_parent",
         .since = since,
         .doc = "Only on this parent; empty is any that is allowed."},
        {.table = t,
         .name = "low_gm",
         .slot = SLOT(vfio.vgpu.low_gm),
         .annotation = true,
         .annotation_name = "vgpu_low_gm",
         .since = since,
         .doc =
             "At least so much mappable graphics memory, \"128MB\" or \"1GB\". Of the types that "
             "have all that is asked for, the smallest with an instance left is taken."},
        {.table = t,
         .name = "high_gm",
         .slot = SLOT(vfio.vgpu.high_gm),
         .annotation = true,
         .annotation_name = "vgpu_high_gm",
         .since = since,
         .doc = "At least so much other graphics memory."},
        {.table = t,
         .name = "fence",
         .slot = SLOT(vfio.vgpu.fence),
         .min = 0,
         .max = 1024,
         .since = since,
         .doc = "At least so many fence registers."},
        {.table = t,
         .name = "resolution",
         .slot = SLOT(vfio.vgpu.resolution),
         .annotation = true,
         .annotation_name = "vgpu_resolution",
         .since = since,
         .doc = "At least this resolution, \"1920x1200\"."},
        {.table = t,
         .name = "weight",
         .slot = SLOT(vfio.vgpu.weight),
         .min = 0,
         .max = 1024,
         .since = since,
         .doc = "At least this share of the GPU's time."},
        {.table = t,
         .name = "keep",
         .slot = SLOT(vfio.vgpu.keep),
         .annotation = true,
         .annotation_name = "vgpu_keep",
         .since = since,
         .doc =
             "The vGPU stays when the sandbox has gone: it is handed over to whoever administers "
             "the host, and is a foreign one from then on."},
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

#undef SLOT

} // namespace

std::vector<Key> vfio_keys() {
    std::vector<Key> rows;
    for (auto part : {top_keys(), vgpu_keys(), timeout_keys()})
        rows.insert(rows.end(), part.begin(), part.end());
    return rows;
}

} // namespace kata_vfio::config
