// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/shim/oci/spec.hpp"

#include "config/base/text.hpp"
#include "runtime-plugin/agent/protocol/json_reader.hpp"
#include "runtime-plugin/shim/ttrpc/status.hpp"

#include <boost/json.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>

namespace kata_vfio::shim::oci {
namespace json = boost::json;
using agent::JsonReader;
namespace {

constexpr std::size_t longest = 4u << 20;

// Linux's numbers, include/uapi/linux/capability.h.
constexpr auto capabilities = std::to_array<std::string_view>({
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
});
// include/uapi/asm-generic/resource.h
constexpr auto limit_names = std::to_array<std::string_view>({
    "RLIMIT_CPU",
    "RLIMIT_FSIZE",
    "RLIMIT_DATA",
    "RLIMIT_STACK",
    "RLIMIT_CORE",
    "RLIMIT_RSS",
    "RLIMIT_NPROC",
    "RLIMIT_NOFILE",
    "RLIMIT_MEMLOCK",
    "RLIMIT_AS",
    "RLIMIT_LOCKS",
    "RLIMIT_SIGPENDING",
    "RLIMIT_MSGQUEUE",
    "RLIMIT_NICE",
    "RLIMIT_RTPRIO",
    "RLIMIT_RTTIME",
});

template <std::size_t N>
int index_of(const std::array<std::string_view, N>& names, std::string_view name) noexcept {
    const auto found = std::ranges::find(names, name);
    return found == names.end() ? -1 : static_cast<int>(found - names.begin());
}

std::uint64_t capability_set(const JsonReader& in, std::string_view name) {
    std::uint64_t set = 0;
    for (const auto& capability : in.texts(name)) {
        // One of a newer kernel can't be had; that the bounding set lacks it does no harm.
        if (const int number = capability_number(capability); number >= 0)
            set |= std::uint64_t{1} << number;
    }
    return set;
}

agent::ProcessSpec read_process(const json::object& object) {
    const JsonReader in(object);
    agent::ProcessSpec spec;
    spec.args = in.texts("args");
    spec.env = in.texts("env");
    spec.cwd = in.needed_path("cwd");
    spec.terminal = in.flag("terminal");
    if (const auto* size = in.object("consoleSize")) {
        const JsonReader console(*size);
        spec.rows = static_cast<std::uint16_t>(console.number("height", UINT16_MAX));
        spec.columns = static_cast<std::uint16_t>(console.number("width", UINT16_MAX));
    }
    const JsonReader user(in.needed_object("user"));
    spec.uid = static_cast<std::uint32_t>(user.number("uid", UINT32_MAX));
    spec.gid = static_cast<std::uint32_t>(user.number("gid", UINT32_MAX));
    spec.groups = user.numbers("additionalGids");
    if (user.has("umask"))
        spec.umask = static_cast<std::uint32_t>(user.number("umask", 0777));
    if (const auto* sets = in.object("capabilities")) {
        const JsonReader caps(*sets);
        spec.capabilities = {capability_set(caps, "bounding"), capability_set(caps, "effective"),
                             capability_set(caps, "inheritable"), capability_set(caps, "permitted"),
                             capability_set(caps, "ambient")};
    }
    in.each_object("rlimits", [&](const json::object& item) {
        const JsonReader limit(item);
        const auto type = limit.needed_text("type", 64);
        const int number = limit_number(type);
        if (number < 0)
            throw agent::ProtocolError("an rlimit of type " + quoted(type));
        spec.limits.push_back(
            {number, limit.number("soft", UINT64_MAX), limit.number("hard", UINT64_MAX)});
    });
    spec.no_new_privileges = in.flag("noNewPrivileges");
    if (in.has("oomScoreAdj"))
        spec.oom_score = static_cast<int>(in.integer("oomScoreAdj", -1000, 1000));
    return spec;
}

Device read_device(const json::object& object) {
    const JsonReader in(object);
    const auto type = in.needed_text("type", 1);
    if (std::string_view("cubp").find(type.front()) == std::string_view::npos)
        throw agent::ProtocolError("a device of type " + quoted(type));
    return Device{in.needed_path("path"),
                  type.front(),
                  static_cast<std::uint32_t>(in.number("major", UINT32_MAX)),
                  static_cast<std::uint32_t>(in.number("minor", UINT32_MAX)),
                  in.has("fileMode")
                      ? static_cast<std::uint32_t>(in.number("fileMode", UINT32_MAX)) & 07777u
                      : 0666u,
                  static_cast<std::uint32_t>(in.number("uid", UINT32_MAX)),
                  static_cast<std::uint32_t>(in.number("gid", UINT32_MAX))};
}

/// A limit as OCI has it: -1, 0 or nothing is none.
std::optional<std::uint64_t> limit(const JsonReader& in, std::string_view name) {
    const auto number = in.integer(name, INT64_MIN, INT64_MAX);
    return number > 0 ? std::optional(static_cast<std::uint64_t>(number)) : std::nullopt;
}

agent::ResourceLimits read_resources(const JsonReader& in) {
    agent::ResourceLimits limits;
    if (const auto* part = in.object("memory")) {
        const JsonReader memory(*part);
        limits.memory = limit(memory, "limit");
        // OCI's is both together.
        const auto both = limit(memory, "swap");
        if (both && limits.memory)
            limits.swap = *both > *limits.memory ? *both - *limits.memory : 0;
    }
    if (const auto* part = in.object("cpu")) {
        const JsonReader cpu(*part);
        if (const auto shares = limit(cpu, "shares"))
            limits.cpu_weight = cpu_weight(*shares);
        limits.cpu_quota = limit(cpu, "quota");
        limits.cpu_period = limit(cpu, "period").value_or(limits.cpu_period);
    }
    if (const auto* part = in.object("pids"))
        limits.processes = limit(JsonReader(*part), "limit");
    return limits;
}

/// The first of these annotations that is there. CRI-O names them otherwise than containerd.
std::string first_of(const std::map<std::string, std::string>& annotations,
                     std::initializer_list<const char*> names) {
    for (const char* name : names)
        if (const auto found = annotations.find(name); found != annotations.end())
            return found->second;
    return {};
}

void set_kind(Spec& spec) {
    const auto type = first_of(spec.annotations, {"io.kubernetes.cri.container-type",
                                                  "io.kubernetes.cri-o.ContainerType"});
    spec.sandbox_id = first_of(spec.annotations,
                               {"io.kubernetes.cri.sandbox-id", "io.kubernetes.cri-o.SandboxID"});
    if (type.empty()) {
        spec.kind = Kind::single;
        spec.sandbox_id.clear();
        return;
    }
    if (type != "sandbox" && type != "container")
        throw agent::ProtocolError("an annotation container-type of " + quoted(type));
    if (!agent::is_name(spec.sandbox_id))
        throw agent::ProtocolError("an annotation sandbox-id of " + quoted(spec.sandbox_id));
    spec.kind = type == "sandbox" ? Kind::sandbox : Kind::container;
}

std::int64_t number_of(const std::map<std::string, std::string>& annotations, const char* name) {
    const auto text = first_of(annotations, {name});
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    return error == std::errc() && end == text.data() + text.size() && number > 0 ? number : 0;
}

/// The reader's fault as the caller's.
template <class F>
auto reading(const char* what, std::string_view text, F&& read) {
    try {
        if (text.size() > longest)
            throw agent::ProtocolError("it is over 4 MiB");
        const auto object = agent::parse_object(text);
        return read(object);
    } catch (const agent::ProtocolError& error) {
        throw ttrpc::Error(ttrpc::Code::invalid_argument, std::string(what) + ": " + error.what());
    }
}

} // namespace

int capability_number(std::string_view name) noexcept {
    return index_of(capabilities, name);
}
int limit_number(std::string_view name) noexcept {
    return index_of(limit_names, name);
}

Spec parse_spec(std::string_view config_json) {
    return reading("config.json", config_json, [](const json::object& object) {
        const JsonReader in(object);
        Spec spec;
        if (const auto* annotations = in.object("annotations"))
            for (const auto& item : *annotations)
                spec.annotations[item.key()] = JsonReader(*annotations).text(item.key());
        set_kind(spec);
        spec.hostname = in.text("hostname", 64);
        if (const auto* root = in.object("root")) {
            spec.root_path = JsonReader(*root).text("path", 4095);
            spec.read_only_root = JsonReader(*root).flag("readonly");
        }
        spec.process = read_process(in.needed_object("process"));
        if (spec.kind != Kind::sandbox && spec.process.args.empty())
            throw agent::ProtocolError("process.args is empty");
        in.each_object("mounts", [&](const json::object& item) {
            const JsonReader mount(item);
            spec.mounts.push_back({mount.needed_path("destination"), mount.text("type", 64),
                                   mount.text("source", 4095), mount.texts("options")});
        });
        if (const auto* part = in.object("linux")) {
            const JsonReader os(*part);
            os.each_object("devices", [&](const json::object& item) {
                spec.devices.push_back(read_device(item));
            });
            os.each_object("namespaces", [&](const json::object& item) {
                const JsonReader entry(item);
                const auto type = entry.text("type", 32);
                const bool shared = !entry.text("path", 4095).empty();
                spec.shares_pids = spec.shares_pids || (shared && type == "pid");
                spec.shares_ipc = spec.shares_ipc || (shared && type == "ipc");
            });
            if (const auto* resources = os.object("resources")) {
                spec.limits = read_resources(JsonReader(*resources));
                JsonReader(*resources).each_object("devices", [&](const json::object& item) {
                    const JsonReader rule(item);
                    const auto type = rule.text("type", 16);
                    if (rule.flag("allow") && !rule.has("major") && !rule.has("minor") &&
                        (type.empty() || type == "a"))
                        spec.all_devices = true;
                });
            }
            if (const auto* seccomp = os.object("seccomp"))
                spec.seccomp = parse_seccomp(*seccomp);
            spec.cgroups_path = os.text("cgroupsPath", 4095);
            spec.masked = os.texts("maskedPaths");
            spec.read_only_paths = os.texts("readonlyPaths");
        }
        return spec;
    });
}

agent::ResourceLimits parse_resources(std::string_view resources_json) {
    return reading("the resources", resources_json,
                   [](const json::object& object) { return read_resources(JsonReader(object)); });
}

std::uint32_t cpu_weight(std::uint64_t shares) noexcept {
    shares = std::clamp<std::uint64_t>(shares, 2, 262144);
    return static_cast<std::uint32_t>(1 + (shares - 2) * 9999 / 262142);
}

agent::ProcessSpec parse_process(std::string_view process_json) {
    return reading("the process", process_json, [](const json::object& object) {
        auto spec = read_process(object);
        if (spec.args.empty())
            throw agent::ProtocolError("args is empty");
        return spec;
    });
}

Size pod_size(const std::map<std::string, std::string>& annotations) {
    const auto quota = number_of(annotations, "io.kubernetes.cri.sandbox-cpu-quota");
    const auto period = number_of(annotations, "io.kubernetes.cri.sandbox-cpu-period");
    const auto memory = number_of(annotations, "io.kubernetes.cri.sandbox-memory");
    constexpr std::int64_t mib = 1 << 20;
    Size size;
    size.memory_mib = memory / mib + (memory % mib ? 1 : 0);
    if (period > 0)
        size.vcpus = quota / period + (quota % period ? 1 : 0);
    return size;
}

} // namespace kata_vfio::shim::oci
