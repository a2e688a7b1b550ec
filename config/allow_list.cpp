// SPDX-License-Identifier: Apache-2.0
#include "config/allow_list.hpp"

#include <fnmatch.h>

#include <algorithm>
#include <filesystem>

namespace kata_vfio::config {
namespace {

bool matches(std::span<const std::string> patterns, const std::string& name, int flags) {
    // fnmatch would see the part before a zero byte only.
    return name.find('\0') == std::string::npos &&
           std::ranges::any_of(patterns, [&](const std::string& pattern) {
               return ::fnmatch(pattern.c_str(), name.c_str(), flags) == 0;
           });
}

} // namespace

bool allowed(std::span<const std::string> patterns, const std::string& name) {
    return matches(patterns, name, 0);
}

bool allowed_path(std::span<const std::string> patterns, const std::string& path) {
    const std::filesystem::path lexical(path);
    return lexical.is_absolute() && lexical.lexically_normal().native() == path &&
           !path.ends_with('/') && matches(patterns, path, FNM_PATHNAME | FNM_PERIOD);
}

} // namespace kata_vfio::config
