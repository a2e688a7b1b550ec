// SPDX-License-Identifier: Apache-2.0
// What an attach would do, told by a dry run.
#include "qemu/device_add.hpp"
#include "qemu/pci_slots.hpp"
#include "runtime-plugin/plugin/record.hpp"
#include "runtime-plugin/plugin/sandbox.hpp"
#include "runtime-plugin/plugin/step.hpp"
#include "vfio/pci_function.hpp"

#include <boost/json.hpp>

namespace kata_vfio::plugin {
namespace json = boost::json;

json::object Sandbox::plan(const std::vector<Target>& targets, const qemu::RootBus& bus) const {
    json::array steps;
    const auto add = [&](const Step& step) {
        auto entry = to_json(step);
        entry["text"] = text(step);
        steps.push_back(std::move(entry));
    };
    json::array attachments;
    for (const auto& target : targets) {
        for (const auto& claim : claims_of(target.attachment))
            add(ClaimStep{claim});
        attachments.push_back(attachment_json(id_, target.attachment));
    }
    for (const auto& target : targets) {
        const auto& attachment = target.attachment;
        if (attachment.made_vgpu)
            add(CreateVgpuStep{attachment.uuid, attachment.host_address, attachment.mdev_type});
        if (target.enables)
            add(EnableFunctionsStep{attachment.vf_of});
        if (target.enables) {
            vfio::BindRecord record;
            record.address = vfio::PciAddress::require(attachment.host_address);
            record.changed = true;
            add(BindStep{record});
        } else if (target.needs_bind) {
            const auto address = vfio::PciAddress::require(attachment.host_address);
            const auto found = vfio::read_function(context_.root, address);
            vfio::BindRecord record;
            record.address = address;
            record.earlier_driver = found.driver;
            record.earlier_override = found.driver_override;
            record.changed = true;
            add(BindStep{record});
        }
    }
    const bool cdevs = takes_cdevs(targets);
    const auto slots = bus.free_slots(); // as many as there are targets: see prepare()
    auto free = slots.begin();
    for (const auto& target : targets) {
        const auto slot = *free;
        if (target.guest_function == 0)
            ++free;
        const Step plug = PlugStep{target.attachment.id};
        auto entry = to_json(plug);
        entry["text"] = text(plug);
        qemu::VfioDevice device(target.attachment.id, target.attachment.sysfsdev);
        if (cdevs) {
            device.iommufd = qemu::iommufd_id;
            if (!iommufd_added_ && &target == &targets.front()) {
                const auto object = qemu::add_iommufd();
                entry["qmp_before"] =
                    json::object{{"execute", object.name}, {"arguments", object.arguments}};
            }
        }
        device.addr = qemu::slot_text(slot, target.guest_function);
        if (target.shares_slot)
            device.multifunction = true;
        entry["qmp"] =
            json::object{{"execute", "device_add"}, {"arguments", qemu::encode_device_add(device)}};
        steps.push_back(std::move(entry));
    }
    return {{"sandbox", id_},
            {"dry_run", true},
            {"attachments", std::move(attachments)},
            {"steps", std::move(steps)}};
}

} // namespace kata_vfio::plugin
