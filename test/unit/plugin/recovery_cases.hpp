// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime-plugin/plugin/recovery.hpp"

#include <string>
#include <utility>
#include <vector>

/// What the tests of recovery.hpp's plans are about: a function on vfio-pci, in sandbox sb1.
namespace kata_vfio::plugin::recovery_cases {

inline const std::string bdf = "0000:00:02.0", function_name = "function-" + bdf;
inline const QemuPicture gone{QemuLife::gone, false, "its QEMU, pid 7, is gone"};

inline vfio::BindRecord bind_record() {
    vfio::BindRecord record;
    record.address = vfio::PciAddress::require(bdf);
    record.earlier_driver = "i915";
    record.changed = true;
    return record;
}

inline SandboxState state_with(std::vector<Attachment> attachments) {
    SandboxState state;
    state.id = "sb1";
    state.attachments = std::move(attachments);
    return state;
}

/// "restore_driver 0000:00:02.0"
inline std::vector<std::string> brief(const std::vector<Action>& actions) {
    std::vector<std::string> texts;
    for (const auto& action : actions)
        texts.push_back(std::string(name(action.kind)) + " " + action.subject);
    return texts;
}

} // namespace kata_vfio::plugin::recovery_cases
