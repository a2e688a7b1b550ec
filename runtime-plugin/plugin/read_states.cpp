// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/plugin/read_states.hpp"

#include "runtime-plugin/plugin/distrust.hpp"

#include <sys/stat.h>

namespace kata_vfio::plugin {

std::optional<SandboxState> ReadStates::load(const std::string& id,
                                             const std::filesystem::path& sandbox_directory) {
    const auto file = sandbox_directory.native() + "/state.json";
    if (const auto found = read_.find(id); found != read_.end()) {
        struct stat st {};
        if (::lstat(file.c_str(), &st) == 0 && distrust(st, file).empty() &&
            FileStamp(st) == found->second.stamp)
            return found->second.state;
        read_.erase(found);
    }
    const auto read = read_own(file);
    if (!read.bytes) // not there, or not to be trusted, which this says
        return load_state(sandbox_directory);
    auto state = parse_state(*read.bytes, file);
    if (read.stamp) {
        if (read_.size() >= most)
            read_.clear();
        read_.emplace(id, Read{*read.stamp, state});
    }
    return state;
}

void ReadStates::keep(const std::function<bool(const std::string& id)>& known) {
    std::erase_if(read_, [&](const auto& each) { return !known(each.first); });
}

} // namespace kata_vfio::plugin
