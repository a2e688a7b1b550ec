// SPDX-License-Identifier: Apache-2.0
#include "test/abi/answer.hpp"

#include <boost/json/parse.hpp>

#include <ostream>

namespace kata_vfio::abi_test {

Answer::Answer(const kata_vfio_result_t& result)
    : status(result.status), ticket(result.ticket), message(copy(result.message)),
      action(copy(result.action)), problem(copy(result.problem)), said(copy(result.said)),
      blocker(copy(result.blocker)), remedy(copy(result.remedy)), sandbox(result.sandbox),
      json(boost::json::parse(copy(result.json))) {
    for (std::size_t i = 0; i < result.attachment_count; ++i) {
        const auto& from = *result.attachments[i];
        Attached to;
        to.kind = from.kind;
        to.sandbox = copy(from.sandbox);
        to.device = copy(from.device);
        to.id = copy(from.id);
        to.host_address = copy(from.host_address);
        to.uuid = copy(from.uuid);
        to.mdev_type = copy(from.mdev_type);
        to.sysfsdev = copy(from.sysfsdev);
        to.guest_address = copy(from.guest_address);
        to.iommu_group = from.iommu_group;
        to.owned = from.owned != 0;
        to.flags = from.flags;
        attachments.push_back(std::move(to));
    }
    for (std::size_t i = 0; i < result.sandbox_count; ++i) {
        const auto& from = *result.sandboxes[i];
        sandboxes.push_back({copy(from.id), copy(from.qmp_socket), copy(from.machine)});
    }
}

std::ostream& operator<<(std::ostream& out, const Answer& answer) {
    return out << library().status_name(answer.status) << ": " << answer.message;
}

} // namespace kata_vfio::abi_test
