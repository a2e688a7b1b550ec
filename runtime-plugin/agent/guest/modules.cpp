// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/agent/guest/modules.hpp"

#include "config/base/file.hpp"
#include "config/base/text.hpp"
#include "config/base/unique_fd.hpp"
#include "runtime-plugin/kernel/system_error.hpp"

#include <fcntl.h>
#include <fnmatch.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

namespace kata_vfio::agent {
namespace {

/// "kernel/drivers/gpu/drm/tiny/bochs.ko" -> "bochs"; the kernel takes - for _.
std::string module_name(std::string_view file) {
    const auto slash = file.rfind('/');
    std::string name(slash == file.npos ? file : file.substr(slash + 1));
    name.resize(std::min(name.find('.'), name.size()));
    std::ranges::replace(name, '-', '_');
    return name;
}

std::string contents(const std::filesystem::path& file) {
    return read_file(file).value_or("");
}

} // namespace

ModuleIndex::ModuleIndex(std::string_view aliases, std::string_view dependencies) {
    for (const auto line : split(aliases, '\n')) { // "alias PATTERN MODULE"
        const auto words = split(line, ' ');
        if (words.size() == 3 && words[0] == "alias")
            aliases_.emplace_back(words[1], words[2]);
    }
    for (const auto line : split(dependencies, '\n')) { // "FILE: FILE FILE", nearest need first
        const auto colon = line.find(':');
        if (colon == line.npos)
            continue;
        auto& files = files_[module_name(line.substr(0, colon))];
        for (const auto need : split(line.substr(colon + 1), ' '))
            if (!need.empty())
                files.emplace_back(need);
        std::ranges::reverse(files);
        files.emplace_back(line.substr(0, colon));
    }
}

std::vector<std::string> ModuleIndex::for_alias(const std::string& modalias) const {
    std::vector<std::string> found;
    for (const auto& [pattern, module] : aliases_)
        if (::fnmatch(pattern.c_str(), modalias.c_str(), 0) == 0 &&
            std::ranges::find(found, module) == found.end())
            found.push_back(module);
    return found;
}

std::vector<std::string> ModuleIndex::files_of(std::string_view module) const {
    const auto found = files_.find(module_name(module));
    return found == files_.end() ? std::vector<std::string>() : found->second;
}

Modules::Modules(std::filesystem::path directory)
    : directory_(std::move(directory)),
      index_(contents(directory_ / "modules.alias"), contents(directory_ / "modules.dep")) {}

void Modules::load_first() const {
    const auto first = contents(directory_ / "first");
    for (const auto line : split(first, '\n'))
        if (!trim(line).empty())
            load(trim(line));
}
void Modules::load_for_alias(const std::string& modalias) const {
    for (const auto& module : index_.for_alias(modalias))
        load(module);
}
void Modules::load(std::string_view module) const {
    for (const auto& file : index_.files_of(module))
        load_file(file);
}
void Modules::load_file(const std::string& file) const {
    const UniqueFd fd(::open((directory_ / file).c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd)
        throw SystemError("can't open the module " + file, errno);
    if (::syscall(SYS_finit_module, fd.get(), "", 0) != 0 && errno != EEXIST)
        throw SystemError("can't load the module " + file, errno);
}

} // namespace kata_vfio::agent
