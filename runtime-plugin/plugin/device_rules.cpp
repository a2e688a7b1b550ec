// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/plugin/device_rules.hpp"

#include "config/base/file.hpp"
#include "config/base/text.hpp"
#include "vfio/sysfs_read.hpp"

#include <algorithm>
#include <filesystem>
#include <system_error>

namespace kata_vfio::plugin {
namespace fs = std::filesystem;
namespace {

struct Node {
    std::string path;
    std::uint32_t major = 0, minor = 0;

    /// "c 241:7 rw"
    std::string rule() const {
        return "c " + std::to_string(major) + ":" + std::to_string(minor) + " rw";
    }
};

std::optional<unsigned> small_number(std::string_view text) {
    const auto value = vfio::number(text);
    return value && *value <= 0xffffffff ? std::optional(static_cast<unsigned>(*value))
                                         : std::nullopt;
}

/// The container's node, and the group's where its numbers are known.
std::vector<Node> needed_nodes(const vfio::HostRoot& root, const std::string& node) {
    std::vector<Node> needed{{"/dev/vfio/vfio", 10, 196}}; // linux/miscdevice.h VFIO_MINOR
    const auto name = fs::path(node).filename().string();
    const auto numbers = vfio::attribute(root.sys("class/vfio") / name / "dev");
    const auto colon = numbers ? numbers->find(':') : std::string::npos;
    if (colon == std::string::npos)
        return needed;
    const auto major = small_number(std::string_view(*numbers).substr(0, colon));
    const auto minor = small_number(std::string_view(*numbers).substr(colon + 1));
    if (major && minor)
        needed.push_back({node, *major, *minor});
    return needed;
}

/// A process's cgroups, "/" and on; nullopt: not in one of that version, or not known.
struct Cgroups {
    std::optional<std::string> devices; ///< of version 1's controller
    std::optional<std::string> unified; ///< of version 2
};
Cgroups cgroups_of(const vfio::HostRoot& root, std::int64_t pid) {
    Cgroups found;
    const auto text =
        read_file(root.text("proc", std::to_string(pid) + "/cgroup"), 65536).value_or("");
    for (const auto line : split(text, '\n')) { // "5:devices:/kata/s1", "0::/kata/s1"
        const auto parts = split(line, ':');
        if (parts.size() < 3)
            continue;
        const auto path = std::string(line.substr(parts[0].size() + parts[1].size() + 2));
        const auto controllers = split(parts[1], ',');
        if (parts[0] == "0" && parts[1].empty())
            found.unified = path;
        else if (std::ranges::find(controllers, "devices") != controllers.end())
            found.devices = path;
    }
    return found;
}

fs::path below(const fs::path& top, const std::string& cgroup) {
    return (top / fs::path(cgroup).relative_path()).lexically_normal();
}

/// Where version 2 is mounted: there alone, or beside version 1.
std::optional<fs::path> unified_top(const vfio::HostRoot& root) {
    std::error_code ec;
    for (const auto& top : {root.sys("fs/cgroup"), root.sys("fs/cgroup/unified")})
        if (fs::exists(top / "cgroup.controllers", ec))
            return top;
    return std::nullopt;
}

Failure refusal(const Node& node) {
    return Failure(Errc::permission_denied, "QEMU's cgroup does not let it open " + node.path);
}

std::optional<Failure> refused_by_rules(const vfio::HostRoot& root, std::int64_t pid,
                                        const std::string& cgroup, const std::string& wanted) {
    const auto text =
        read_file(below(root.sys("fs/cgroup/devices"), cgroup) / "devices.list", 1 << 20);
    if (!text)
        return std::nullopt;
    const auto rules = parse_device_rules(*text);
    for (const auto& node : needed_nodes(root, wanted))
        if (!permits(rules, node.major, node.minor))
            return refusal(node)
                .blocked_by("the device rules of pid " + std::to_string(pid) +
                            ", none of which has " + node.rule())
                .remedy("add \"" + node.rule() +
                        "m\" to devices.allow of its cgroup, or let the runtime "
                        "add the device to the sandbox");
    return std::nullopt;
}

/// The cgroup that a program is attached to: QEMU's, or one above it. "" where that can't be told.
std::string attached_to(const DevicePrograms& programs, const fs::path& top, std::string cgroup,
                        std::uint32_t id) {
    try {
        for (;; cgroup = fs::path(cgroup).parent_path().string()) {
            const auto ids = programs.ids(below(top, cgroup), false);
            if (std::ranges::find(ids, id) != ids.end())
                return cgroup;
            if (cgroup.size() <= 1)
                return {};
        }
    } catch (const std::system_error&) {
        return {};
    }
}

/// How to allow it, by who has most likely written the program.
std::string remedy_for(const Node& node, const std::string& cgroup) {
    const auto unit = fs::path(cgroup).filename().string();
    const auto in_runtime = "the rule \"" + node.rule() +
                            "m\" to the runtime's device rules of that cgroup "
                            "(linux.resources.devices)";
    if (unit.ends_with(".service") || unit.ends_with(".scope") || unit.ends_with(".slice"))
        return "add DeviceAllow=" + node.path + " rw to the systemd unit " + unit + ", or " +
               in_runtime;
    return "add " + in_runtime + ", or DeviceAllow=" + node.path +
           " rw where a systemd unit has the cgroup";
}

NodeReach refused_reach(Failure why) {
    NodeReach reach;
    reach.refused = std::move(why);
    return reach;
}

NodeReach unknown_reach(std::string why) {
    NodeReach reach;
    reach.unknown = std::move(why);
    return reach;
}

NodeReach reach_by_programs(const vfio::HostRoot& root, const DevicePrograms& programs,
                            std::int64_t pid, const fs::path& top, const std::string& cgroup,
                            const std::string& wanted) {
    NodeReach reach;
    const auto unknown = [&](const std::string& what, const std::string& why) {
        if (reach.unknown.empty())
            reach.unknown = what + ": " + why;
    };
    const auto no_answer = [&](const std::string& what, const std::system_error& error) {
        reach.forbidden =
            reach.unknown.empty() && error.code() == std::errc::operation_not_permitted;
        unknown(what, error.what());
    };
    std::vector<std::uint32_t> ids;
    try {
        ids = programs.ids(below(top, cgroup), true);
    } catch (const std::system_error& error) {
        no_answer("the device programs of cgroup " + cgroup + " can't be asked for", error);
    }
    // As most often there is none, and nothing more to be looked up.
    reach.unrestricted = ids.empty() && reach.unknown.empty();
    const auto needed = ids.empty() ? std::vector<Node>() : needed_nodes(root, wanted);
    for (const auto id : ids) {
        const auto number = "device program " + std::to_string(id);
        LoadedProgram program;
        try {
            program = programs.load(id);
        } catch (const std::system_error& error) {
            no_answer(number + " of cgroup " + cgroup + " can't be read", error);
            continue;
        }
        for (const auto& node : needed) {
            DeviceAccess access;
            access.major = node.major;
            access.minor = node.minor;
            const auto judged = run_program(program.instructions, access);
            if (judged == Judgement::unknown)
                unknown(number + " of cgroup " + cgroup,
                        "it does more than compare, which is not judged here");
            if (judged != Judgement::denied)
                continue;
            const auto where = attached_to(programs, top, cgroup, id);
            reach.refused =
                refusal(node)
                    .blocked_by(number + (program.name.empty() ? "" : " (" + program.name + ")") +
                                (where.empty() ? ", in effect for cgroup " + cgroup
                                               : " of cgroup " + where) +
                                ", which denies " + node.rule() + " to pid " + std::to_string(pid))
                    .remedy(remedy_for(node, where.empty() ? cgroup : where));
            return reach;
        }
    }
    return reach;
}

} // namespace

std::vector<DeviceRule> parse_device_rules(std::string_view list) {
    std::vector<DeviceRule> rules;
    for (const auto line : split(list, '\n')) {
        const auto parts = words(line);
        if (parts.size() != 3 || parts[0].size() != 1)
            continue;
        const auto colon = parts[1].find(':');
        if (colon == parts[1].npos)
            continue;
        DeviceRule rule;
        rule.type = parts[0][0];
        const auto major = parts[1].substr(0, colon), minor = parts[1].substr(colon + 1);
        rule.major = small_number(major);
        rule.minor = small_number(minor);
        if ((!rule.major && major != "*") || (!rule.minor && minor != "*"))
            continue;
        rule.read_write =
            parts[2].find('r') != parts[2].npos && parts[2].find('w') != parts[2].npos;
        rules.push_back(rule);
    }
    return rules;
}

bool permits(const std::vector<DeviceRule>& rules, unsigned major, unsigned minor) {
    return std::ranges::any_of(rules, [&](const DeviceRule& rule) {
        return (rule.type == 'a' || rule.type == 'c') && rule.read_write &&
               (!rule.major || *rule.major == major) && (!rule.minor || *rule.minor == minor);
    });
}

NodeReach reach_of_node(const vfio::HostRoot& root, std::int64_t pid, const std::string& node,
                        const DevicePrograms& programs) {
    if (pid <= 0)
        return {};
    const auto cgroups = cgroups_of(root, pid);
    if (cgroups.devices)
        if (auto refused = refused_by_rules(root, pid, *cgroups.devices, node))
            return refused_reach(std::move(*refused));
    NodeReach reach;
    reach.unrestricted = !cgroups.devices;
    if (!cgroups.unified)
        return reach;
    const auto top = unified_top(root);
    if (!top && *cgroups.unified == "/") // a host of version 1 alone lists the root all the same
        return reach;
    if (!top)
        return unknown_reach("no cgroup2 file system is at /sys/fs/cgroup");
    if (cgroups.unified->starts_with("/.."))
        return unknown_reach("its cgroup " + *cgroups.unified + " is outside this process's own");
    reach = reach_by_programs(root, programs, pid, *top, *cgroups.unified, node);
    reach.unrestricted = reach.unrestricted && !cgroups.devices;
    return reach;
}

} // namespace kata_vfio::plugin
