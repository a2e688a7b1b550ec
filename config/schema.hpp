// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/position.hpp"

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kata_vfio::config {

// The initialisers below are the defaults; what each key means, its unit and its range stand in
// the one table of config/keys.cpp, from which docs/configuration.md is written.

/// `[hypervisor.qemu]`: those of Kata's keys this project acts upon. Source: the configuration-qemu
/// template of Kata 1.x to 3.1 and its Go loader (virtcontainers, katautils/config.go).
struct Hypervisor {
    std::string path = "/usr/bin/qemu-system-x86_64";
    std::string kernel = "/usr/share/kata-containers/vmlinuz.container";
    std::string image;  ///< exclusive with initrd
    std::string initrd; ///< exclusive with image
    std::string machine_type = "pc";
    std::string machine_accelerators;
    std::string kernel_params; ///< at most 2047 bytes, the x86 kernel's COMMAND_LINE_SIZE less one
    std::string firmware;
    std::string cpu_features;
    std::int64_t default_vcpus = 1;     ///< 0 is 1, below 0 is all host CPUs
    std::int64_t default_maxvcpus = 0;  ///< 0 is all host CPUs
    std::int64_t default_memory = 2048; ///< MiB
    std::int64_t memory_slots = 10;
    std::int64_t default_bridges = 1; ///< 0 is 1
    bool hotplug_vfio_on_root_bus = false;
    bool enable_iommu = false;
    bool rootless = false; ///< QEMU runs as a user of its own; the plugin then lends it VFIO nodes
    std::string shared_fs = "virtio-9p"; ///< or "virtio-fs"; Kata's others the shim refuses
    std::string virtio_fs_daemon = "/usr/lib/qemu/virtiofsd";
    std::string virtio_fs_cache = "auto";          ///< or "always", "metadata", "never", "none"
    std::int64_t virtio_fs_queue_size = 1024;      ///< a power of two
    std::vector<std::string> virtio_fs_extra_args; ///< whole words
    bool use_vsock = true;                         ///< where host and guest have it
    bool enable_debug = false;
    std::string extra_monitor_socket;                ///< "", "hmp", "qmp" or "qmp-pretty"
    std::vector<std::string> enable_annotations;     ///< regular expressions, whole names
    std::vector<std::string> valid_hypervisor_paths; ///< glob patterns
};

/// `[runtime]`
struct Runtime {
    bool enable_debug = false;
    std::string vfio_mode = "guest-kernel"; ///< or "vfio"
    bool sandbox_cgroup_only = false;
};

/// `[agent.kata]`
struct Agent {
    bool enable_debug = false;
    std::vector<std::string> kernel_modules; ///< "name parameter=value ..." each
    std::int64_t dial_timeout = 45;          ///< seconds
};

/// `[vfio.timeouts]`, milliseconds in the file. Why each default is what it is stands, at length,
/// in config/keys.cpp.
struct Timeouts {
    std::chrono::milliseconds greeting{5000};      ///< late from a QEMU that builds its machine
    std::chrono::milliseconds query{5000};         ///< 2 ms, or behind another's device_add of 3 s
    std::chrono::milliseconds device_add{30000};   ///< pins the guest's memory; 5 s were too short
    std::chrono::milliseconds device_del{30000};   ///< may stand behind a device_add
    std::chrono::milliseconds unplug{20000};       ///< a guest's boot, and several re-sends
    std::chrono::milliseconds unplug_resend{2000}; ///< ACPI takes < 0.1 s; always below unplug
    std::chrono::milliseconds reconnect{10000};    ///< somebody else may get the monitor first
    std::chrono::milliseconds unresponsive{15000}; ///< above a large guest's device_add
    std::chrono::milliseconds host_write{10000};   ///< a QEMU that ends and unpins memory
    std::chrono::milliseconds device_node{5000};   ///< 1 ms by the kernel, seconds by a busy udev
};

/// `[vfio.daemon]`: of kata-vfiod alone; the plugin does not look at them.
struct Daemon {
    std::string socket = "/run/kata-vfiod/kata-vfiod.sock"; ///< absolute
    std::string socket_mode = "0600";                       ///< or "0660", "0666"
    std::vector<std::string> allowed_uids;                  ///< none: the daemon's own alone
    std::string tcp;                                        ///< "HOST:PORT"; "" is none
    std::string tls_certificate, tls_key, tls_client_ca;    ///< PEM files; all with tcp
    std::string metrics;                                    ///< "unix:PATH", "HOST:PORT" or ""
    std::chrono::milliseconds drain{30000};                 ///< an unplug's 20 s and some more
};

/// `[vfio.vgpu]`: a vGPU that every sandbox gets when it is opened. Sizes as config/vgpu_size.hpp
/// reads them; "" and 0 ask for nothing.
struct Vgpu {
    std::string type;
    std::string parent;
    std::string low_gm;
    std::string high_gm;
    std::int64_t fence = 0;
    std::string resolution;
    std::int64_t weight = 0;
    bool keep = false;

    bool sized() const {
        return !low_gm.empty() || !high_gm.empty() || fence > 0 || !resolution.empty() ||
               weight > 0;
    }
    /// A vGPU is asked for: which one is told by its type, by what it must have, or by both.
    bool wanted() const { return !type.empty() || sized(); }
};

/// `[vfio]`: our own keys, unknown to Kata (which ignores the table).
struct Vfio {
    std::string state_dir = "/run/kata-vfio"; ///< absolute, below the host root
    std::vector<std::string> allowed_types{"*"};
    std::vector<std::string> allowed_parents{"*"};
    std::vector<std::string> allowed_devices{"*"};
    std::vector<std::string> allowed_guest_files; ///< for annotations; none by default
    bool qmp_log = false;
    std::int64_t qmp_log_max_bytes = std::int64_t{8} << 20; ///< of one file
    std::int64_t qmp_log_files = 4;                         ///< the one written to included
    std::vector<std::string> qmp_log_redact;                ///< member names or dotted paths
    std::string qmp_proxy = "off";                          ///< or "read-only", "unsafe"
    std::string iommufd = "off";      ///< or "auto": cdevs where kernel and QEMU have them
    std::string placement = "pack";   ///< of vGPUs over several parents; or "spread"
    std::string take_siblings = "no"; ///< of an IOMMU group: or "audio", "all"
    std::int64_t sriov_functions = 0; ///< to enable of a physical function; 0: all it has
    bool chown_nodes = false;         ///< /dev/vfio/N becomes QEMU's user's while attached
    std::string rootless_uids = "1879048192-1879113727"; ///< FIRST-LAST, of [hypervisor] rootless
    std::string gpu; ///< BDF that every sandbox gets when it is opened; "": none
    Vgpu vgpu;
    Timeouts timeouts;
    Daemon daemon;
};

/// Something to tell the user that does not stop us: an unknown, misplaced or obsolete key, or a
/// directory entry that was skipped.
struct Warning {
    Position at;
    std::string key; ///< dotted, e.g. "hypervisor.qemu.hot_plug_vfio"; "" when about a file
    std::string text;

    /// "file:line:col key: text"
    std::string str() const;
};

/// Where a key's value came from. A key that no file sets has no Origin: it has its default.
struct Origin {
    Position at; ///< of the value in force
    std::vector<Position>
        overridden; ///< those it replaced, oldest first (main file, then drop-ins)
};

/// A key no one knows, kept for the rules: it may be a misspelling of one they miss.
struct UnknownKey {
    std::string key; ///< dotted
    Position at;
    std::string meant; ///< dotted key of the schema it resembles or belongs to; "" when none
};

/// The configuration in force: main file, drop-ins, and after apply_annotations() those too.
/// A plain value: copyable, no locks, no file is touched after loading.
struct Configuration {
    Hypervisor hypervisor;
    Runtime runtime;
    Agent agent;
    Vfio vfio;

    std::vector<Warning> warnings;
    std::vector<std::filesystem::path> files;         ///< read, in order; the main file first
    std::map<std::string, Origin, std::less<>> where; ///< by dotted key
    std::vector<UnknownKey> unknown;
    /// The first `# hotplug_vfio_on_root_bus = ...` line: the stock file has the key so.
    std::optional<Position> commented_root_bus;

    /// The place of a key's value; of no line when it is the default, and then of the main file.
    Position position(std::string_view key) const;
};

} // namespace kata_vfio::config
