// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/abi/result_box.hpp"

#include <boost/json/serialize.hpp>

namespace kata_vfio::abi {

static_assert(static_cast<int>(plugin::Kind::pci) == KATA_VFIO_KIND_PCI);
static_assert(static_cast<int>(plugin::Kind::mdev) == KATA_VFIO_KIND_MDEV);

kata_vfio_str_t view(const std::string& text) noexcept {
    return {text.data(), text.size()};
}

namespace {

/// Addresses of the elements, once there are no more to come.
template <class T>
std::vector<const T*> list_of(const std::vector<T>& elements) {
    std::vector<const T*> list;
    list.reserve(elements.size());
    for (const auto& element : elements)
        list.push_back(&element);
    return list;
}

std::uint32_t flags_of(const plugin::Attachment& attachment) {
    std::uint32_t flags = 0;
    if (attachment.own)
        flags |= KATA_VFIO_ATTACHMENT_OWN;
    if (attachment.prepared)
        flags |= KATA_VFIO_ATTACHMENT_PREPARED;
    if (attachment.unplugged)
        flags |= KATA_VFIO_ATTACHMENT_UNPLUGGED;
    if (attachment.keep)
        flags |= KATA_VFIO_ATTACHMENT_KEEP;
    return flags;
}

} // namespace

ResultBox::ResultBox(std::uint64_t ticket, plugin::Outcome outcome, kata_vfio_sandbox_t* sandbox)
    : outcome_(std::move(outcome)), json_(boost::json::serialize(outcome_.json)) {
    result_.struct_size = sizeof result_;
    result_.ticket = ticket;
    result_.sandbox = sandbox;
    if (const auto& failure = outcome_.failure) {
        message_ = failure->what();
        result_.status = static_cast<kata_vfio_status_t>(failure->code());
        result_.message = view(message_);
        result_.action = view(failure->action());
        result_.problem = view(failure->problem());
        result_.said = view(failure->verbatim());
        result_.blocker = view(failure->blocker());
        result_.remedy = view(failure->advice());
    }
    show_attachments();
    show_sandboxes();
    result_.json = view(json_);
}

void ResultBox::show_attachments() {
    for (const auto& [sandbox, attachment] : outcome_.attachments) {
        kata_vfio_attachment_t shown = KATA_VFIO_INIT(shown);
        shown.kind = static_cast<std::uint32_t>(attachment.kind);
        shown.sandbox = view(sandbox);
        shown.device = view(attachment.device);
        shown.id = view(attachment.id);
        shown.host_address = view(attachment.host_address);
        shown.uuid = view(attachment.uuid);
        shown.mdev_type = view(attachment.mdev_type);
        shown.sysfsdev = view(attachment.sysfsdev);
        shown.guest_address = view(attachment.guest_address);
        shown.iommu_group = attachment.iommu_group.value_or(-1);
        shown.owned = attachment.owned() ? 1 : 0;
        shown.flags = flags_of(attachment);
        attachments_.push_back(shown);
    }
    attachment_list_ = list_of(attachments_);
    result_.attachments = attachment_list_.data();
    result_.attachment_count = attachments_.size();
}

void ResultBox::show_sandboxes() {
    for (const auto& state : outcome_.sandboxes) {
        kata_vfio_sandbox_info_t shown = KATA_VFIO_INIT(shown);
        shown.id = view(state.id);
        shown.qmp_socket = view(state.qmp_socket);
        shown.machine = view(state.machine);
        sandboxes_.push_back(shown);
    }
    sandbox_list_ = list_of(sandboxes_);
    result_.sandboxes = sandbox_list_.data();
    result_.sandbox_count = sandboxes_.size();
}

} // namespace kata_vfio::abi
