// SPDX-License-Identifier: Apache-2.0
#include "config/keys.hpp"

#include "config/daemon_keys.hpp"
#include "config/vfio_keys.hpp"

#include <limits>

namespace kata_vfio::config {
namespace {

constexpr std::int64_t int32_min = std::numeric_limits<std::int32_t>::min();
constexpr std::int64_t int32_max = std::numeric_limits<std::int32_t>::max();

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
         .name = "rootless",
         .slot = SLOT(hypervisor.rootless),
         .since = "Kata 2.x",
         .doc = "QEMU runs as a user without any right, one of its own for each sandbox "
                "(rootless_uids), and has a VFIO node as that user's while it is attached. Its "
                "share is virtio-fs, whatever shared_fs says."},
        {.table = t,
         .name = "shared_fs",
         .slot = SLOT(hypervisor.shared_fs),
         .choices = {"virtio-9p", "virtio-fs", "virtio-fs-nydus", "none"},
         .annotation = true,
         .since = "Kata 1.x",
         .doc = "How the containers' files reach the guest: virtio-9p is served by QEMU, virtio-fs "
                "by virtio_fs_daemon. Kata's other two are refused by the runtime. Kata itself "
                "defaults to virtio-fs from 2.0 on."},
        {.table = t,
         .name = "virtio_fs_daemon",
         .slot = SLOT(hypervisor.virtio_fs_daemon),
         .since = "Kata 1.x",
         .doc = "virtiofsd, QEMU's own in C (Debian 12: qemu-system-common) or the one in Rust "
                "(later Debians: virtiofsd, /usr/libexec/virtiofsd; Kata's): it is asked which."},
        {.table = t,
         .name = "virtio_fs_cache",
         .slot = SLOT(hypervisor.virtio_fs_cache),
         .choices = {"auto", "always", "metadata", "never", "none"},
         .annotation = true,
         .since = "Kata 1.x",
         .doc = "What the guest may keep of virtio-fs without asking: auto, for a second; always, "
                "for ever, so that it does not see what the host changes; metadata, that and no "
                "contents (Rust's virtiofsd alone); never, which none is the old name of, "
                "nothing."},
        {.table = t,
         .name = "virtio_fs_queue_size",
         .slot = SLOT(hypervisor.virtio_fs_queue_size),
         .min = 2,
         .max = 1024,
         .annotation = true,
         .since = "Kata 3.x",
         .doc = "Requests of virtio-fs that can be under way at once; a power of two."},
        {.table = t,
         .name = "virtio_fs_extra_args",
         .slot = SLOT(hypervisor.virtio_fs_extra_args),
         .since = "Kata 1.x",
         .doc = "More words for virtio_fs_daemon's command line; one of them takes the place of "
                "ours of that name. What it shares, and with whom, they can't change."},
        {.table = t,
         .name = "use_vsock",
         .slot = SLOT(hypervisor.use_vsock),
         .since = "Kata 1.x",
         .doc = "The guest's agent is reached by vsock where the host has /dev/vhost-vsock and the "
                "initrd says that its kernel has it; else, or with false, by virtio-serial."},
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

#undef SLOT

std::vector<Key> all_keys() {
    std::vector<Key> rows;
    for (auto part : {hypervisor_keys(), runtime_keys(), vfio_keys(), daemon_keys()})
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

const Key* find_annotation(std::string_view name) {
    for (const auto& key : keys()) {
        const bool own = key.annotation_name.empty() && key.table == "hypervisor.qemu";
        if (key.annotation && (own ? key.name : key.annotation_name) == name)
            return &key;
    }
    return nullptr;
}

} // namespace kata_vfio::config
