// SPDX-License-Identifier: Apache-2.0
#include "config/base/failure.hpp"
#include "mdev/mdev_device.hpp"
#include "runtime-plugin/plugin/process.hpp"
#include "runtime-plugin/plugin/record.hpp"
#include "runtime-plugin/plugin/survey.hpp"
#include "vfio/group_holder.hpp"
#include "vfio/iommu_group.hpp"
#include "vfio/sysfs_read.hpp"

#include <map>
#include <set>

namespace kata_vfio::plugin {
namespace fs = std::filesystem;
namespace {

/// What is on record of all sandboxes, by device.
struct Known {
    struct Attached {
        std::string sandbox;
        Attachment attachment;
    };
    std::map<std::string, Attached> attached; ///< by UUID or BDF
    vfio::OpenVfio open;

    Known(const Context& context, const SeenStates& seen)
        : open(vfio::find_open_vfio(context.root)) {
        for (const auto& id : context.state.sandbox_ids()) {
            const auto directory = context.state.sandbox(id);
            if (const auto* state = seen.find(id, directory))
                add(id, *state);
            else if (const auto record = read_record(directory, id); record.state)
                add(id, *record.state);
        }
    }

    void judge_vgpu(const Context& context, DeviceFinding& finding,
                    const mdev::MdevDevice& device) const {
        if (device.state == mdev::MdevDevice::State::pending_removal) {
            finding.state = DeviceFinding::State::pending;
            finding.why = "told to go, which waits for its last user";
        }
        judge(context, finding, mdev_claim(finding.name), device.iommu_group,
              mdev::parent_side(context.root, device));
    }
    /// `directory`: the device's, below the injected root.
    void judge(const Context& context, DeviceFinding& finding, const std::string& claim,
               std::optional<int> group, const fs::path& directory) const {
        const auto known = attached.find(finding.name);
        if (known != attached.end()) {
            finding.owner = DeviceFinding::Owner::ours;
            finding.sandbox = known->second.sandbox;
            finding.holder = known->second.attachment.pending;
            if (known->second.attachment.unplugged) {
                finding.state = DeviceFinding::State::pending;
                finding.why = "it is unplugged, and waits to be given back";
            }
        } else if (const auto owner = owner_of(context, claim)) {
            finding.owner = DeviceFinding::Owner::ours;
            finding.sandbox = *owner;
        }
        const auto* who = holders_of(finding.name, group, directory);
        if (!who && !open.untold.empty() && finding.owner != DeviceFinding::Owner::foreign &&
            group && busy(context, *group))
            who = &open.untold;
        if (!who)
            return;
        if (finding.state == DeviceFinding::State::idle)
            finding.state = DeviceFinding::State::in_use;
        const auto& first = who->front();
        finding.holder =
            PendingOn{first.pid, start_time(context.root, first.pid).value_or(0), first.command};
    }

  private:
    void add(const std::string& id, const SandboxState& state) {
        for (const auto& each : state.attachments)
            attached.emplace(each.kind == Kind::mdev ? each.uuid : each.host_address,
                             Attached{id, each});
    }
    const std::vector<vfio::Holder>* holders_of(const std::string& device, std::optional<int> group,
                                                const fs::path& directory) const {
        std::vector<std::string> nodes;
        if (group)
            nodes.push_back("/dev/vfio/" + std::to_string(*group));
        // Nearly nowhere is one open, and a directory to list for each device adds up.
        constexpr std::string_view own = "/dev/vfio/devices/";
        if (const auto first = open.nodes.lower_bound(std::string(own));
            first != open.nodes.end() && first->first.starts_with(own))
            for (const auto& cdev : vfio::names_in(directory / "vfio-dev"))
                nodes.push_back(std::string(own) + cdev);
        for (const auto& node : nodes)
            if (const auto found = open.nodes.find(node); found != open.nodes.end())
                return &found->second;
        const auto found = open.devices.find(device);
        return found == open.devices.end() ? nullptr : &found->second;
    }
    static bool busy(const Context& context, int group) {
        try {
            return vfio::group_busy(context.root, group);
        } catch (const Failure&) {
            return false; // may not be looked at
        }
    }
    static std::optional<std::string> owner_of(const Context& context, const std::string& claim) {
        try {
            return context.claims.owner(claim);
        } catch (const Failure&) {
            return std::nullopt; // told by survey_claims()
        }
    }
};

std::vector<DeviceFinding> mdevs(const Context& context, const Known& known,
                                 const KnownMdevs& devices) {
    std::vector<DeviceFinding> findings;
    for (const auto& [uuid, device] : devices) {
        DeviceFinding finding;
        finding.mdev = true;
        finding.name = uuid;
        finding.parent = device.parent;
        finding.type = device.type;
        known.judge_vgpu(context, finding, device);
        findings.push_back(std::move(finding));
    }
    return findings;
}

std::vector<DeviceFinding> functions(const Context& context, const Known& known) {
    std::vector<DeviceFinding> findings;
    const auto devices = context.root.sys("bus/pci/devices");
    for (const auto& name : vfio::names_in(devices)) {
        const auto driver = vfio::link_name(devices / name / "driver");
        const bool ours = known.attached.contains(name);
        const bool on_vfio =
            driver && (driver == "vfio-pci" || fs::exists(devices / name / "vfio-dev"));
        if (!on_vfio && !ours)
            continue;
        DeviceFinding finding;
        finding.name = name;
        finding.driver = driver.value_or("");
        if (fs::exists(context.state.bound() / (name + ".json")))
            finding.owner = DeviceFinding::Owner::by_hand;
        known.judge(context, finding, function_claim(name), vfio::group_link(devices / name),
                    devices / name);
        findings.push_back(std::move(finding));
    }
    return findings;
}

} // namespace

std::vector<DeviceFinding> survey_devices(const Context& context, const SeenStates& seen,
                                          const KnownMdevs& devices) {
    const Known known(context, seen);
    auto findings = mdevs(context, known, devices);
    for (auto& finding : functions(context, known))
        findings.push_back(std::move(finding));
    std::set<std::string> there;
    for (const auto& finding : findings)
        there.insert(finding.name);
    for (const auto& [name, each] : known.attached) {
        if (there.contains(name))
            continue;
        DeviceFinding finding;
        finding.mdev = each.attachment.kind == Kind::mdev;
        finding.name = name;
        if (finding.mdev)
            finding.parent = each.attachment.host_address;
        finding.type = each.attachment.mdev_type;
        finding.owner = DeviceFinding::Owner::ours;
        finding.state = DeviceFinding::State::lost;
        finding.sandbox = each.sandbox;
        finding.why = "it is not on the host any more";
        // Its parent is no parent any more, and waits with it: it is none of those listed.
        const auto going = finding.mdev ? mdev::find_device(context.root, mdev::Uuid::require(name),
                                                            finding.parent)
                                        : std::nullopt;
        if (going) {
            known.judge_vgpu(context, finding, *going);
            finding.why = "its parent, " + finding.parent +
                          ", is being unbound, which waits for its last user";
        }
        findings.push_back(std::move(finding));
    }
    return findings;
}

} // namespace kata_vfio::plugin
