// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime-plugin/agent/protocol/message.hpp"
#include "runtime-plugin/shim/oci/seccomp_profile.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kata_vfio::shim::oci {

/// What a bundle is for, by CRI's annotations; without them it is a container of its own (ctr,
/// nerdctl), whose sandbox is made for it.
enum class Kind { single, sandbox, container };

struct Mount {
    std::string destination, type, source;
    std::vector<std::string> options;
};

struct Device {
    std::string path;
    char type = 'c'; ///< c, u, b or p
    std::uint32_t major = 0, minor = 0;
    std::uint32_t mode = 0666;
    std::uint32_t uid = 0, gid = 0;
};

/// The part of config.json that has a meaning for a container in a guest.
struct Spec {
    Kind kind = Kind::single;
    std::string sandbox_id; ///< of kind sandbox and container
    std::string hostname;
    std::string root_path; ///< relative to the bundle, or absolute
    bool read_only_root = false;
    agent::ProcessSpec process; ///< a sandbox's is never run
    std::vector<Mount> mounts;
    std::vector<Device> devices;
    /// Every device is allowed: a privileged container, whose `devices` are all that the host has.
    bool all_devices = false;
    std::vector<std::string> masked, read_only_paths;
    std::optional<SeccompProfile> seccomp;
    std::string cgroups_path;
    agent::ResourceLimits limits;
    /// Its pid, or ipc, namespace is another container's: the pod's, in a guest.
    bool shares_pids = false, shares_ipc = false;
    std::map<std::string, std::string> annotations;
};

/// At most 4 MiB are taken. All throw ttrpc::Error(invalid_argument) on anything that is not what
/// it should be, naming the member.
Spec parse_spec(std::string_view config_json);
agent::ProcessSpec parse_process(std::string_view process_json);
/// OCI's linux.resources, what of it a container can be limited by.
agent::ResourceLimits parse_resources(std::string_view resources_json);

/// The weight of cgroup2 (1 to 10000) for CPU shares of cgroup1 (2 to 262144), as runc has it.
std::uint32_t cpu_weight(std::uint64_t shares) noexcept;

/// "CAP_NET_ADMIN" -> 12; -1 for a name Linux does not have.
int capability_number(std::string_view name) noexcept;
/// "RLIMIT_NOFILE" -> 7; -1.
int limit_number(std::string_view name) noexcept;

/// Memory and processors a pod asks for, by CRI's sizing annotations; 0: not told.
struct Size {
    std::int64_t memory_mib = 0;
    std::int64_t vcpus = 0;
};
Size pod_size(const std::map<std::string, std::string>& annotations);

} // namespace kata_vfio::shim::oci
