// SPDX-License-Identifier: Apache-2.0
#include "qemu/qmp/proxy/policy.hpp"

#include <algorithm>
#include <array>

namespace kata_vfio::qemu {

bool ProxyPolicy::only_looks(std::string_view command) noexcept {
    constexpr std::array<std::string_view, 5> names{
        "qom-list", "qom-get", "qom-list-types", "qom-list-properties", "device-list-properties"};
    return command.starts_with("query-") ||
           std::find(names.begin(), names.end(), command) != names.end();
}

std::optional<std::string> ProxyPolicy::refusal(std::string_view command) const {
    const auto disabled = [command](std::string_view why) {
        return "Command " + std::string(command) + " has been disabled: " + std::string(why);
    };
    if (mode_ == ProxyMode::read_only && !only_looks(command))
        return disabled("the proxy is read-only; [vfio] qmp_proxy = \"unsafe\" lets it pass");
    return std::nullopt;
}

} // namespace kata_vfio::qemu
