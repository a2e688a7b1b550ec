// SPDX-License-Identifier: Apache-2.0
#include "vfio/group_holder.hpp"

#include "config/base/failure.hpp"
#include "config/base/file.hpp"
#include "config/base/text.hpp"
#include "vfio/sysfs_read.hpp"
#include "vfio/vfio_node.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <set>

namespace kata_vfio::vfio {
namespace fs = std::filesystem;
namespace {

/// The host paths by which a group's devices can be held: its node, and its members' cdevs.
std::vector<fs::path> nodes_of(const HostRoot& root, int group) {
    std::vector<fs::path> nodes{root.told(group_node(root, group))};
    const auto devices = root.sys("kernel/iommu_groups") / std::to_string(group) / "devices";
    for (const auto& member : names_in(devices))
        for (const auto& cdev : names_in(devices / member / "vfio-dev"))
            nodes.push_back(fs::path("/dev/vfio/devices") / cdev);
    return nodes;
}

void add(std::vector<Holder>& all, const Holder& one) {
    if (std::find(all.begin(), all.end(), one) == all.end())
        all.push_back(one);
}

/// What one process has open.
struct OpenFiles {
    std::set<std::string> nodes;
    std::set<std::string> devices; ///< those of `loose` of which the kernel tells
    std::size_t loose = 0;         ///< devices got through their group
};

OpenFiles open_files(const fs::path& process) {
    OpenFiles found;
    std::error_code ec;
    for (fs::directory_iterator it(process / "fd", ec), end; !ec && it != end; it.increment(ec)) {
        std::error_code gone;
        const auto target = fs::read_symlink(it->path(), gone).native();
        if (gone)
            continue;
        if (target.starts_with("/dev/vfio/") && target != "/dev/vfio/vfio")
            found.nodes.insert(target);
        if (target != "anon_inode:[vfio-device]")
            continue;
        ++found.loose;
        constexpr std::string_view key = "vfio-device-syspath:";
        std::string info;
        try {
            info = read_file(process / "fdinfo" / it->path().filename()).value_or("");
        } catch (const Failure&) { // then it is one of which nothing is told
        }
        for (const auto line : split(info, '\n'))
            if (line.starts_with(key))
                found.devices.insert(fs::path(trim(line.substr(key.size()))).filename().string());
    }
    return found;
}

std::vector<std::string> members(const HostRoot& root, std::string_view group) {
    return names_in(root.sys("kernel/iommu_groups") / group / "devices");
}

std::vector<Holder> certain_holders(const HostRoot& root, int group) {
    std::vector<Holder> all;
    for (const auto& node : nodes_of(root, group))
        for (const auto& holder : find_holders(root, node))
            add(all, holder);
    if (!all.empty())
        return all;
    const auto open = find_open_vfio(root);
    for (const auto& member : members(root, std::to_string(group)))
        if (const auto found = open.devices.find(member); found != open.devices.end())
            for (const auto& holder : found->second)
                add(all, holder);
    return all;
}

struct Opened {
    bool busy = false;
    UniqueFd fd;
};

Opened open_group(const HostRoot& root, int group) {
    const auto node = root.text("dev", "vfio/" + std::to_string(group));
    UniqueFd fd(::open(node.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!fd && errno == EBUSY)
        return {true, UniqueFd()};
    if (!fd && errno == ENODEV) // the group is going away: nobody can hold what is not there
        return {};
    if (!fd && errno != ENOENT && errno != ENXIO)
        throw host_failure(errno, "can't open " + root.told(node).string());
    struct stat st {};
    if (fd && ::fstat(fd.get(), &st) == 0 && S_ISCHR(st.st_mode))
        return {false, std::move(fd)}; // the kernel's own answer
    return {!certain_holders(root, group).empty(), UniqueFd()};
}

} // namespace

std::string text(const Holder& holder) {
    auto line = "pid " + std::to_string(holder.pid);
    if (!holder.command.empty())
        line += " (" + holder.command + ")";
    return line;
}

std::vector<Holder> find_holders(const HostRoot& root, const fs::path& node) {
    std::vector<Holder> holders;
    struct stat wanted {};
    const bool device = ::stat((root.root() / node.relative_path()).c_str(), &wanted) == 0 &&
                        S_ISCHR(wanted.st_mode);
    const auto last = node.filename().string();
    for (const auto& name : names_in(root.proc())) {
        const auto pid = number(name);
        if (!pid || *pid > INT_MAX)
            continue;
        const auto dir = root.proc(name);
        std::vector<std::string> fds;
        try {
            fds = names_in(dir / "fd");
        } catch (const Failure&) {
            continue; // another user's process, and we are not root: documented as not seen
        }
        for (const auto& fd : fds) {
            std::error_code ec;
            const auto target = fs::read_symlink(dir / "fd" / fd, ec);
            // By name first: only what could be the node is looked at further, so that no stat()
            // of ours hangs on somebody's dead network mount.
            if (ec || target.filename() != last)
                continue;
            struct stat st {};
            const bool same_number = device && ::stat((dir / "fd" / fd).c_str(), &st) == 0 &&
                                     S_ISCHR(st.st_mode) && st.st_rdev == wanted.st_rdev;
            if (target != node && !same_number)
                continue;
            holders.push_back(
                Holder{static_cast<pid_t>(*pid), attribute(dir / "comm").value_or("")});
            break;
        }
    }
    std::sort(holders.begin(), holders.end(),
              [](const auto& a, const auto& b) { return a.pid < b.pid; });
    return holders;
}

OpenVfio find_open_vfio(const HostRoot& root) {
    OpenVfio all;
    for (const auto& name : names_in(root.proc())) {
        const auto pid = number(name);
        if (!pid || *pid > INT_MAX)
            continue;
        const auto dir = root.proc(name);
        auto open = open_files(dir);
        if (open.nodes.empty() && open.loose == 0)
            continue;
        const Holder holder{static_cast<pid_t>(*pid), attribute(dir / "comm").value_or("")};
        std::size_t through_groups = 0; // as many devices as the groups it has open account for
        for (const auto& node : open.nodes) {
            all.nodes[node].push_back(holder);
            for (const auto& member : members(root, fs::path(node).filename().native())) {
                ++through_groups;
                open.devices.erase(member);
            }
        }
        const bool tells = open.devices.size() > 0;
        for (const auto& device : open.devices)
            all.devices[device].push_back(holder);
        if (!tells && open.loose > through_groups)
            all.untold.push_back(holder);
    }
    return all;
}

std::vector<Holder> group_holders(const HostRoot& root, int group) {
    auto all = certain_holders(root, group);
    return all.empty() ? find_open_vfio(root).untold : all;
}

bool group_busy(const HostRoot& root, int group) {
    return open_group(root, group).busy;
}

UniqueFd hold_group(const HostRoot& root, int group, const std::string& what) {
    auto opened = open_group(root, group);
    if (!opened.busy)
        return std::move(opened.fd);
    std::vector<std::string> who;
    for (const auto& holder : group_holders(root, group))
        who.push_back(text(holder));
    throw Failure(Errc::device_in_use, what + " is in use: IOMMU group " + std::to_string(group) +
                                           " is open (/dev/vfio/" + std::to_string(group) + ")")
        .blocked_by(who.empty() ? "a process that can't be seen from here (another pid namespace, "
                                  "or not root)"
                                : join_words(who))
        .remedy("detach it from that sandbox, or end that process");
}

} // namespace kata_vfio::vfio
