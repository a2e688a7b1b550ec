// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/plugin/read_states.hpp"

namespace kata_vfio::plugin {

std::optional<SandboxState> ReadStates::load(const std::string& id,
                                             const std::filesystem::path& sandbox_directory) {
    if (read_.size() >= most && !read_.contains(id))
        read_.clear();
    return read_[id].load(sandbox_directory);
}

void ReadStates::keep(const std::function<bool(const std::string& id)>& known) {
    std::erase_if(read_, [&](const auto& each) { return !known(each.first); });
}

} // namespace kata_vfio::plugin
