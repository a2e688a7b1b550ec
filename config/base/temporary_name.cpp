// SPDX-License-Identifier: Apache-2.0
#include "config/base/temporary_name.hpp"

#include <algorithm>
#include <cctype>

namespace kata_vfio {

bool is_temporary_of(std::string_view name, std::string_view target) {
    if (name.size() != target.size() + temporary_suffix.size() || !name.starts_with(target) ||
        name[target.size()] != '.')
        return false;
    const auto random = name.substr(target.size() + 1);
    return std::all_of(random.begin(), random.end(),
                       [](unsigned char c) { return std::isalnum(c) != 0; });
}

} // namespace kata_vfio
