// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime-plugin/agent/protocol/frame.hpp"
#include "runtime-plugin/kernel/capability_sets.hpp"

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace kata_vfio::agent {

/// One of RLIMIT_*, by Linux's number.
struct ResourceLimit {
    int resource = 0;
    std::uint64_t soft = 0, hard = 0;
};

/// Which system calls a process may make: a program of classic BPF as seccomp(2) takes it, made by
/// the shim out of OCI's linux.seccomp.
struct SeccompFilter {
    static constexpr std::size_t instruction = 8;
    static constexpr std::size_t max_size = 4096 * instruction; ///< BPF_MAXINSNS
    std::uint32_t flags = 0; ///< SECCOMP_FILTER_FLAG_TSYNC, _LOG and _SPEC_ALLOW, no others
    std::string program;     ///< struct sock_filter, one after the other
    bool operator==(const SeccompFilter&) const = default;
};

/// A process of a container, as OCI's `process` has it.
struct ProcessSpec {
    std::vector<std::string> args; ///< at least one
    std::vector<std::string> env;
    std::string cwd = "/"; ///< absolute
    std::uint32_t uid = 0, gid = 0;
    std::vector<std::uint32_t> groups;
    std::optional<std::uint32_t> umask;
    CapabilitySets capabilities;
    std::vector<ResourceLimit> limits;
    bool no_new_privileges = false;
    bool terminal = false;
    std::uint16_t rows = 0, columns = 0; ///< 0: not told
    std::optional<int> oom_score;
    std::optional<SeccompFilter> seccomp; ///< nullopt: every call
};

/// One mount of a container, in order.
struct MountSpec {
    enum class Origin {
        kernel, ///< a file system of the guest's kernel: proc, sysfs, tmpfs, devpts, mqueue, cgroup
        share,  ///< `source` is a name at the top of the share
        guest,  ///< `source` is a path of the guest's own /dev
    };
    Origin origin = Origin::kernel;
    std::string destination; ///< absolute, in the container
    std::string type;        ///< kernel: the file system
    std::string source;
    std::vector<std::string> options; ///< of mount(8)
};

/// A device node that is to be in the container's /dev, by its name in the guest's.
struct DeviceSpec {
    std::string path; ///< in the container; absolute
    std::uint32_t mode = 0666;
    std::uint32_t uid = 0, gid = 0;
    bool optional = false; ///< left out when the guest has no such device
};

/// What a container may use of the sandbox, cgroup2's way; nullopt: as much as there is.
struct ResourceLimits {
    std::optional<std::uint64_t> memory;     ///< bytes
    std::optional<std::uint64_t> swap;       ///< bytes, beside `memory`
    std::optional<std::uint64_t> cpu_quota;  ///< microseconds of each period
    std::uint64_t cpu_period = 100000;       ///< microseconds
    std::optional<std::uint32_t> cpu_weight; ///< 1 to 10000; the kernel's default is 100
    std::optional<std::uint64_t> processes;
    bool operator==(const ResourceLimits&) const = default;
};

struct ContainerSpec {
    std::string id;   ///< one path component
    std::string root; ///< its root file system: a name at the top of the share
    bool read_only = false;
    std::string hostname;
    std::vector<MountSpec> mounts;
    std::vector<DeviceSpec> devices;
    std::vector<std::string> plugged; ///< PCI addresses whose nodes it gets
    std::vector<std::string> masked, read_only_paths;
    ResourceLimits limits;
    /// The namespaces it shares with the other containers of its pod; its own otherwise.
    bool pod_pids = false, pod_ipc = false;
    ProcessSpec process;
};

// Requests. Those with a process number have it in `process`: chosen by the host, never 0, not used
// twice in the life of a guest.
struct Start { ///< the container, with its first process
    std::uint32_t process = 0;
    ContainerSpec container;
};
struct Exec {
    std::uint32_t process = 0;
    std::string container;
    ProcessSpec spec;
};
struct Signal {
    std::uint32_t process = 0;
    int number = 0;
    bool all = false; ///< every process of its container
};
struct Resize {
    std::uint32_t process = 0;
    std::uint16_t rows = 0, columns = 0;
};
struct Remove { ///< a container whose first process has exited
    std::string container;
};
struct Update { ///< other limits for a container; those that are not told stay
    std::string container;
    ResourceLimits limits;
};
struct Pids {
    std::string container;
};
struct Stats {
    std::string container;
};
struct AwaitDevice { ///< until the device is there and its driver has made its nodes
    std::string address;
    std::uint32_t timeout_ms = 0;
    /// It is to be vfio-pci's in the guest, for a program of the container that drives it itself.
    bool vfio = false;
};
struct PowerOff {};
using Call =
    std::variant<Start, Exec, Signal, Resize, Remove, Update, Pids, Stats, AwaitDevice, PowerOff>;

struct Request {
    std::uint32_t id = 0;
    Call call;
};

struct Reply {
    std::uint32_t id = 0;
    std::string error; ///< "": it was done
    int error_number = 0;
    boost::json::object value;
};

struct Hello {
    int version = 0;
    std::string kernel; ///< uname -r, for the log
};

/// What AwaitDevice gives.
struct DeviceReport {
    std::string driver;             ///< "": none took it
    std::vector<std::string> nodes; ///< of the guest's /dev, "dri/card0"
};
/// What Stats gives.
struct Usage {
    std::uint64_t cpu_usec = 0, user_usec = 0, system_usec = 0;
    std::uint64_t memory = 0, anonymous = 0, file = 0;
    std::uint64_t inactive_file = 0; ///< of `file`, what is given up first
    std::uint64_t processes = 0;
    std::uint64_t faults = 0, major_faults = 0;
    /// UINT64_MAX where there is none.
    std::uint64_t memory_limit = UINT64_MAX, process_limit = UINT64_MAX;
};

std::string to_payload(const Request&);
std::string to_payload(const Reply&);
std::string to_payload(const Hello&);
boost::json::object to_json(const DeviceReport&);
boost::json::object to_json(const Usage&);

// All of these throw ProtocolError and nothing else (but std::bad_alloc) on any input: what is no
// JSON, nested deeper than 16, of another type than it should be, out of range, longer than a path
// or a list may be, or with a name that is no single path component where one is asked for.
Request parse_request(std::string_view payload);
Reply parse_reply(std::string_view payload);
Hello parse_hello(std::string_view payload);
DeviceReport parse_device_report(const boost::json::object&);
Usage parse_usage(const boost::json::object&);
std::vector<std::uint32_t> parse_pids(const boost::json::object&);

/// One path component that is neither "." nor "..", 1 to 255 bytes, without a zero byte.
bool is_name(std::string_view text) noexcept;

} // namespace kata_vfio::agent
