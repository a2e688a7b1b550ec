// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/agent/protocol/message.hpp"

#include "config/base/overloaded.hpp"
#include "runtime-plugin/agent/protocol/json_reader.hpp"
#include "runtime-plugin/agent/protocol/seccomp_message.hpp"

#include <boost/json.hpp>

#include <algorithm>

namespace kata_vfio::agent {
namespace json = boost::json;
namespace {

constexpr int highest_signal = 64; // SIGRTMAX of the kernel
constexpr int highest_limit = 15;  // RLIMIT_RTTIME

json::array list(const std::vector<std::string>& texts) {
    return json::array(texts.begin(), texts.end());
}

ProcessSpec read_process(const json::object& object) {
    const JsonReader in(object);
    ProcessSpec spec;
    spec.args = in.texts("args");
    if (spec.args.empty() || spec.args.front().empty())
        throw ProtocolError("a process without a program to run");
    spec.env = in.texts("env");
    spec.cwd = in.needed_path("cwd");
    spec.uid = static_cast<std::uint32_t>(in.number("uid", UINT32_MAX));
    spec.gid = static_cast<std::uint32_t>(in.number("gid", UINT32_MAX));
    spec.groups = in.numbers("groups");
    if (in.has("umask"))
        spec.umask = static_cast<std::uint32_t>(in.number("umask", 0777));
    const JsonReader caps(in.needed_object("capabilities"));
    spec.capabilities = {caps.number("bounding", UINT64_MAX), caps.number("effective", UINT64_MAX),
                         caps.number("inheritable", UINT64_MAX),
                         caps.number("permitted", UINT64_MAX), caps.number("ambient", UINT64_MAX)};
    in.each_object("limits", [&](const json::object& item) {
        const JsonReader limit(item);
        spec.limits.push_back({static_cast<int>(limit.number("resource", highest_limit)),
                               limit.number("soft", UINT64_MAX), limit.number("hard", UINT64_MAX)});
    });
    spec.no_new_privileges = in.flag("no_new_privileges");
    spec.terminal = in.flag("terminal");
    spec.rows = static_cast<std::uint16_t>(in.number("rows", UINT16_MAX));
    spec.columns = static_cast<std::uint16_t>(in.number("columns", UINT16_MAX));
    if (in.has("oom_score"))
        spec.oom_score = static_cast<int>(in.integer("oom_score", -1000, 1000));
    if (const auto* filter = in.object("seccomp"))
        spec.seccomp = read_seccomp(*filter);
    return spec;
}

json::object write_process(const ProcessSpec& spec) {
    json::object out{{"args", list(spec.args)},
                     {"env", list(spec.env)},
                     {"cwd", spec.cwd},
                     {"uid", spec.uid},
                     {"gid", spec.gid},
                     {"groups", json::array(spec.groups.begin(), spec.groups.end())},
                     {"capabilities",
                      {{"bounding", spec.capabilities.bounding},
                       {"effective", spec.capabilities.effective},
                       {"inheritable", spec.capabilities.inheritable},
                       {"permitted", spec.capabilities.permitted},
                       {"ambient", spec.capabilities.ambient}}},
                     {"no_new_privileges", spec.no_new_privileges},
                     {"terminal", spec.terminal},
                     {"rows", spec.rows},
                     {"columns", spec.columns}};
    if (spec.umask)
        out["umask"] = *spec.umask;
    if (spec.oom_score)
        out["oom_score"] = *spec.oom_score;
    if (spec.seccomp)
        out["seccomp"] = write_seccomp(*spec.seccomp);
    json::array limits;
    for (const auto& limit : spec.limits)
        limits.push_back(
            {{"resource", limit.resource}, {"soft", limit.soft}, {"hard", limit.hard}});
    out["limits"] = std::move(limits);
    return out;
}

constexpr std::string_view origins[] = {"kernel", "share", "guest"};

MountSpec read_mount(const json::object& object) {
    const JsonReader in(object);
    MountSpec mount;
    const auto origin = in.needed_text("origin");
    const auto found = std::ranges::find(origins, origin);
    if (found == std::end(origins))
        throw ProtocolError("a mount of an origin that is not known");
    mount.origin = static_cast<MountSpec::Origin>(found - std::begin(origins));
    mount.destination = in.needed_path("destination");
    mount.type = in.text("type", 64);
    mount.source = mount.origin == MountSpec::Origin::share   ? in.needed_name("source")
                   : mount.origin == MountSpec::Origin::guest ? in.needed_path("source")
                                                              : in.text("source", 4095);
    mount.options = in.texts("options");
    return mount;
}

json::object write_mount(const MountSpec& mount) {
    return {{"origin", origins[static_cast<std::size_t>(mount.origin)]},
            {"destination", mount.destination},
            {"type", mount.type},
            {"source", mount.source},
            {"options", list(mount.options)}};
}

ResourceLimits read_limits(const json::object& object) {
    const JsonReader in(object);
    ResourceLimits limits;
    const auto read = [&](std::string_view name) {
        return in.has(name) ? std::optional(in.number(name, UINT64_MAX)) : std::nullopt;
    };
    limits.memory = read("memory");
    limits.swap = read("swap");
    limits.cpu_quota = read("cpu_quota");
    if (const auto period = in.number("cpu_period", 1000000)) // a second, the kernel's most
        limits.cpu_period = period;
    if (const auto weight = in.number("cpu_weight", 10000))
        limits.cpu_weight = static_cast<std::uint32_t>(weight);
    limits.processes = read("processes");
    return limits;
}

json::object write_limits(const ResourceLimits& limits) {
    json::object out{{"cpu_period", limits.cpu_period}};
    const auto write = [&](const char* name, const auto& value) {
        if (value)
            out[name] = *value;
    };
    write("memory", limits.memory);
    write("swap", limits.swap);
    write("cpu_quota", limits.cpu_quota);
    write("cpu_weight", limits.cpu_weight);
    write("processes", limits.processes);
    return out;
}

ContainerSpec read_container(const json::object& object) {
    const JsonReader in(object);
    ContainerSpec spec;
    spec.id = in.needed_name("id");
    spec.root = in.needed_name("root");
    spec.read_only = in.flag("read_only");
    spec.hostname = in.text("hostname", 64); // HOST_NAME_MAX
    in.each_object("mounts",
                   [&](const json::object& item) { spec.mounts.push_back(read_mount(item)); });
    in.each_object("devices", [&](const json::object& item) {
        const JsonReader device(item);
        spec.devices.push_back({device.needed_path("path"),
                                static_cast<std::uint32_t>(device.number("mode", 07777)),
                                static_cast<std::uint32_t>(device.number("uid", UINT32_MAX)),
                                static_cast<std::uint32_t>(device.number("gid", UINT32_MAX)),
                                device.flag("optional")});
    });
    spec.plugged = in.texts("plugged");
    for (const auto& address : spec.plugged)
        if (!is_name(address))
            throw ProtocolError("a PCI address that is none");
    spec.masked = in.texts("masked");
    spec.read_only_paths = in.texts("read_only_paths");
    spec.limits = read_limits(in.needed_object("limits"));
    spec.pod_pids = in.flag("pod_pids");
    spec.pod_ipc = in.flag("pod_ipc");
    spec.process = read_process(in.needed_object("process"));
    return spec;
}

json::object write_container(const ContainerSpec& spec) {
    json::array mounts, devices;
    for (const auto& mount : spec.mounts)
        mounts.push_back(write_mount(mount));
    for (const auto& device : spec.devices)
        devices.push_back({{"path", device.path},
                           {"mode", device.mode},
                           {"uid", device.uid},
                           {"gid", device.gid},
                           {"optional", device.optional}});
    return {{"id", spec.id},
            {"root", spec.root},
            {"read_only", spec.read_only},
            {"hostname", spec.hostname},
            {"mounts", std::move(mounts)},
            {"devices", std::move(devices)},
            {"plugged", list(spec.plugged)},
            {"masked", list(spec.masked)},
            {"read_only_paths", list(spec.read_only_paths)},
            {"limits", write_limits(spec.limits)},
            {"pod_pids", spec.pod_pids},
            {"pod_ipc", spec.pod_ipc},
            {"process", write_process(spec.process)}};
}

json::object write_call(const Call& call) {
    return std::visit(Overloaded{
                          [](const Start& c) -> json::object {
                              return {{"call", "start"},
                                      {"process", c.process},
                                      {"container", write_container(c.container)}};
                          },
                          [](const Exec& c) -> json::object {
                              return {{"call", "exec"},
                                      {"process", c.process},
                                      {"container", c.container},
                                      {"spec", write_process(c.spec)}};
                          },
                          [](const Signal& c) -> json::object {
                              return {{"call", "signal"},
                                      {"process", c.process},
                                      {"number", c.number},
                                      {"all", c.all}};
                          },
                          [](const Resize& c) -> json::object {
                              return {{"call", "resize"},
                                      {"process", c.process},
                                      {"rows", c.rows},
                                      {"columns", c.columns}};
                          },
                          [](const Remove& c) -> json::object {
                              return {{"call", "remove"}, {"container", c.container}};
                          },
                          [](const Update& c) -> json::object {
                              return {{"call", "update"},
                                      {"container", c.container},
                                      {"limits", write_limits(c.limits)}};
                          },
                          [](const Pids& c) -> json::object {
                              return {{"call", "pids"}, {"container", c.container}};
                          },
                          [](const Stats& c) -> json::object {
                              return {{"call", "stats"}, {"container", c.container}};
                          },
                          [](const AwaitDevice& c) -> json::object {
                              return {{"call", "await_device"},
                                      {"address", c.address},
                                      {"timeout_ms", c.timeout_ms},
                                      {"vfio", c.vfio}};
                          },
                          [](const PowerOff&) -> json::object {
                              return {{"call", "power_off"}};
                          },
                      },
                      call);
}

Call read_call(const JsonReader& in) {
    const auto name = in.needed_text("call", 64);
    const auto process = [&] {
        const auto number = static_cast<std::uint32_t>(in.number("process", UINT32_MAX));
        if (number == 0)
            throw ProtocolError("a call without its process");
        return number;
    };
    if (name == "start")
        return Start{process(), read_container(in.needed_object("container"))};
    if (name == "exec")
        return Exec{process(), in.needed_name("container"), read_process(in.needed_object("spec"))};
    if (name == "signal")
        return Signal{process(), static_cast<int>(in.number("number", highest_signal)),
                      in.flag("all")};
    if (name == "resize")
        return Resize{process(), static_cast<std::uint16_t>(in.number("rows", UINT16_MAX)),
                      static_cast<std::uint16_t>(in.number("columns", UINT16_MAX))};
    if (name == "remove")
        return Remove{in.needed_name("container")};
    if (name == "update")
        return Update{in.needed_name("container"), read_limits(in.needed_object("limits"))};
    if (name == "pids")
        return Pids{in.needed_name("container")};
    if (name == "stats")
        return Stats{in.needed_name("container")};
    if (name == "await_device")
        return AwaitDevice{in.needed_name("address"),
                           static_cast<std::uint32_t>(in.number("timeout_ms", 600000)),
                           in.flag("vfio")};
    if (name == "power_off")
        return PowerOff{};
    throw ProtocolError("a call that is not known");
}

} // namespace

bool is_name(std::string_view text) noexcept {
    return !text.empty() && text.size() <= 255 && text != "." && text != ".." &&
           text.find('/') == text.npos && text.find('\0') == text.npos;
}

std::string to_payload(const Request& request) {
    auto out = write_call(request.call);
    out["id"] = request.id;
    return json::serialize(out);
}
std::string to_payload(const Reply& reply) {
    json::object out{{"id", reply.id}};
    if (reply.error.empty())
        out["value"] = reply.value;
    else
        out["error"] = {{"text", reply.error}, {"number", reply.error_number}};
    return json::serialize(out);
}
std::string to_payload(const Hello& hello) {
    return json::serialize(json::object{{"version", hello.version}, {"kernel", hello.kernel}});
}
json::object to_json(const DeviceReport& report) {
    return {{"driver", report.driver}, {"nodes", list(report.nodes)}};
}
json::object to_json(const Usage& usage) {
    return {{"cpu_usec", usage.cpu_usec},
            {"user_usec", usage.user_usec},
            {"system_usec", usage.system_usec},
            {"memory", usage.memory},
            {"anonymous", usage.anonymous},
            {"file", usage.file},
            {"inactive_file", usage.inactive_file},
            {"processes", usage.processes},
            {"faults", usage.faults},
            {"major_faults", usage.major_faults},
            {"memory_limit", usage.memory_limit},
            {"process_limit", usage.process_limit}};
}

Request parse_request(std::string_view payload) {
    const auto object = parse_object(payload);
    const JsonReader in(object);
    return Request{static_cast<std::uint32_t>(in.number("id", UINT32_MAX)), read_call(in)};
}
Reply parse_reply(std::string_view payload) {
    const auto object = parse_object(payload);
    const JsonReader in(object);
    Reply reply;
    reply.id = static_cast<std::uint32_t>(in.number("id", UINT32_MAX));
    if (in.has("error")) {
        const JsonReader error(in.needed_object("error"));
        reply.error = error.needed_text("text", 4096);
        reply.error_number = static_cast<int>(error.number("number", 4095)); // MAX_ERRNO
    } else {
        reply.value = in.needed_object("value");
    }
    return reply;
}
Hello parse_hello(std::string_view payload) {
    const auto object = parse_object(payload);
    const JsonReader in(object);
    return Hello{static_cast<int>(in.number("version", 1000000)), in.text("kernel", 256)};
}
DeviceReport parse_device_report(const json::object& value) {
    const JsonReader in(value);
    return DeviceReport{in.text("driver", 255), in.texts("nodes")};
}
Usage parse_usage(const json::object& value) {
    const JsonReader in(value);
    const auto read = [&](std::string_view name) { return in.number(name, UINT64_MAX); };
    Usage used;
    used.cpu_usec = read("cpu_usec");
    used.user_usec = read("user_usec");
    used.system_usec = read("system_usec");
    used.memory = read("memory");
    used.anonymous = read("anonymous");
    used.file = read("file");
    used.inactive_file = read("inactive_file");
    used.processes = read("processes");
    used.faults = read("faults");
    used.major_faults = read("major_faults");
    used.memory_limit = read("memory_limit");
    used.process_limit = read("process_limit");
    return used;
}
std::vector<std::uint32_t> parse_pids(const json::object& value) {
    return JsonReader(value).numbers("pids");
}

} // namespace kata_vfio::agent
