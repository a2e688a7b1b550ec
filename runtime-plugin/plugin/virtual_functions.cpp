// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/plugin/virtual_functions.hpp"

#include "config/allow_list.hpp"
#include "config/base/failure.hpp"
#include "config/base/file.hpp"
#include "config/base/text.hpp"
#include "runtime-plugin/plugin/crash_point.hpp"
#include "vfio/group_holder.hpp"
#include "vfio/iommu_group.hpp"
#include "vfio/pci_function.hpp"
#include "vfio/sysfs_read.hpp"

#include <boost/json.hpp>
#include <unistd.h>

#include <algorithm>
#include <tuple>

namespace kata_vfio::plugin {
namespace fs = std::filesystem;
namespace json = boost::json;
namespace {

fs::path record_of(const StateDir& state, const std::string& parent) {
    return state.path() / "sriov" / (parent + ".json");
}

bool is_free(const VirtualFunction& function) {
    return !function.claimed && !function.in_use;
}

std::string why_not(const VirtualFunctionParent& parent, const config::Vfio& policy) {
    const auto name = parent.address.text();
    if (!config::allowed(policy.allowed_parents, name))
        return name + " is not in allowed_parents";
    const auto claimed = std::ranges::count_if(
        parent.functions, [](const auto& function) { return function.claimed; });
    const auto in_use = std::ranges::count_if(parent.functions, [](const auto& function) {
        return !function.claimed && function.in_use;
    });
    return name + ": of " + std::to_string(parent.functions.size()) + " virtual functions " +
           std::to_string(claimed) + " are sandboxes' and " + std::to_string(in_use) +
           " are the host's";
}

} // namespace

std::size_t VirtualFunctionParent::left() const {
    return static_cast<std::size_t>(std::ranges::count_if(functions, is_free));
}

VirtualFunctionPlace place_function(const std::vector<VirtualFunctionParent>& parents,
                                    const std::optional<std::string>& wanted,
                                    const config::Vfio& policy, const std::set<int>& near) {
    const VirtualFunctionParent* best = nullptr;
    bool permitted = false;
    std::vector<std::string> why;
    const auto rank = [&](const VirtualFunctionParent& parent) {
        const auto left = static_cast<std::int64_t>(parent.left());
        return std::tuple(!near.empty() && !near.contains(parent.numa_node),
                          policy.placement == "spread" ? -left : left, parent.address);
    };
    for (const auto& parent : parents) {
        if (wanted && *wanted != parent.address.text())
            continue;
        why.push_back(why_not(parent, policy));
        if (!config::allowed(policy.allowed_parents, parent.address.text()))
            continue;
        permitted = true;
        if (parent.left() > 0 && (!best || rank(parent) < rank(*best)))
            best = &parent;
    }
    if (best)
        return {best->address, std::ranges::find_if(best->functions, is_free)->address};
    if (why.empty())
        throw Failure(Errc::parent_not_found,
                      wanted ? quoted(*wanted) + " has no virtual functions to give"
                             : "no function of this host has virtual functions to give")
            .remedy(
                "name a physical function with sriov_totalvfs above 0; its driver must be bound");
    if (!permitted)
        throw Failure(Errc::not_allowed, "a virtual function is not allowed here")
            .blocked_by(join_words(why, "; "))
            .remedy("extend allowed_parents in [vfio]");
    throw Failure(Errc::no_instances, "no virtual function is left")
        .blocked_by(join_words(why, "; "))
        .remedy("detach one, or unbind one of the host's from its driver");
}

std::vector<VirtualFunctionParent> look_at_parents(const vfio::HostRoot& root,
                                                   const StateDir& state, const Claims& claims,
                                                   const std::optional<std::string>& wanted) {
    std::vector<VirtualFunctionParent> parents;
    for (const auto& physical : vfio::list_physical_functions(root)) {
        const auto name = physical.address.text();
        if (wanted && *wanted != name)
            continue;
        const bool ours = fs::exists(record_of(state, name));
        VirtualFunctionParent parent{physical.address, physical.numa_node, {}};
        const auto add = [&](const vfio::PciAddress& address, bool exists) {
            VirtualFunction function{address, exists, false, false};
            function.claimed = claims.owner(function_claim(address.text())).has_value();
            if (exists && !function.claimed) {
                const auto found = vfio::read_function(root, address);
                const bool hosts = found.driver && !found.on_vfio && !ours;
                function.in_use = hosts || found.unbind_pending ||
                                  (found.on_vfio && found.iommu_group &&
                                   vfio::group_busy(root, *found.iommu_group));
            }
            parent.functions.push_back(function);
        };
        for (const auto& address : physical.functions)
            add(address, true);
        if (physical.functions.empty())
            for (unsigned i = 0; i < physical.total; ++i)
                if (const auto address = physical.function(i))
                    add(*address, false);
        parents.push_back(std::move(parent));
    }
    return parents;
}

void enable_functions(const vfio::HostRoot& root, const StateDir& state,
                      const vfio::PciAddress& parent, unsigned count, vfio::Deadline deadline) {
    const auto held = state.lock();
    const auto physical = vfio::read_physical_function(root, parent);
    if (!physical)
        throw Failure(Errc::parent_not_found, parent.text() + " has no virtual functions to give");
    if (!physical->functions.empty())
        return;
    const auto wanted = count == 0 ? physical->total : std::min(count, physical->total);
    const auto record = record_of(state, parent.text());
    state.ensure(record.parent_path());
    if (const int error = write_fault(CrashPoint::sriov_record_write))
        throw host_failure(error, "can't write " + record.string());
    write_atomically(record, json::serialize(json::object{{"v", 1}, {"count", wanted}}) + "\n");
    try {
        vfio::set_virtual_functions(root, parent, wanted, deadline);
    } catch (const Failure&) {
        const auto now = vfio::read_physical_function(root, parent);
        if (!now || now->functions.empty()) {
            ::unlink(record.c_str());
            ::rmdir(record.parent_path().c_str()); // while it is empty
        }
        throw;
    }
}

std::optional<std::string> disable_unused_functions(const vfio::HostRoot& root,
                                                    const StateDir& state, const Claims& claims,
                                                    const std::string& parent,
                                                    vfio::Deadline deadline) {
    const auto record = record_of(state, parent);
    if (!fs::exists(record))
        return std::nullopt;
    const auto held = state.lock();
    const auto address = vfio::PciAddress::require(parent);
    if (const auto physical = vfio::read_physical_function(root, address)) {
        // Also those that are not there yet: who has claimed one is about to enable them.
        for (unsigned i = 0; i < physical->total; ++i)
            if (const auto function = physical->function(i);
                function && claims.owner(function_claim(function->text())))
                return std::nullopt;
        // Open until the write has returned, so that nobody takes one between the check and that.
        std::vector<UniqueFd> groups;
        for (const auto& function : physical->functions)
            try {
                if (const auto group = vfio::group_link(vfio::function_path(root, function)))
                    groups.push_back(vfio::hold_group(root, *group, function.text()));
            } catch (const Failure& failure) {
                if (failure.code() != Errc::device_in_use)
                    throw;
                return "the virtual functions of " + parent +
                       " stay enabled: " + failure.problem() + ", by " + failure.blocker() +
                       "; a reconcile after that takes them away";
            }
        vfio::set_virtual_functions(root, address, 0, deadline);
    }
    if (::unlink(record.c_str()) != 0 && errno != ENOENT)
        throw host_failure(errno, "can't remove " + record.string());
    ::rmdir(record.parent_path().c_str()); // while it is empty
    return std::nullopt;
}

std::vector<std::string> enabled_parents(const StateDir& state) {
    std::vector<std::string> parents;
    for (const auto& name : vfio::names_in(state.path() / "sriov"))
        if (name.ends_with(".json") && vfio::PciAddress::parse(name.substr(0, name.size() - 5)))
            parents.push_back(name.substr(0, name.size() - 5));
    return parents;
}

} // namespace kata_vfio::plugin
