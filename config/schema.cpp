// SPDX-License-Identifier: Apache-2.0
#include "config/schema.hpp"

namespace kata_vfio::config {

std::string Position::str() const {
    if (line == 0)
        return file;
    return file + ":" + std::to_string(line) + ":" + std::to_string(column);
}

std::string Warning::str() const {
    return at.str() + (key.empty() ? "" : " " + key) + ": " + text;
}

Position Configuration::position(std::string_view key) const {
    if (const auto found = where.find(key); found != where.end())
        return found->second.at;
    return {files.empty() ? std::string() : files.front().string(), 0, 0};
}

} // namespace kata_vfio::config
