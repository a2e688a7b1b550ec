// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <iosfwd>
#include <map>
#include <string>

namespace kata_vfio::abi_test {

/// Everything below a directory, to prove that a call left nothing and took nothing: each name with
/// its kind and content. A FIFO (a control file of the fake kernel) is not opened. Of
/// driver_override "(null)" and an empty line are the same, as both are "none" to the kernel.
struct Snapshot {
    std::map<std::string, std::string> entries;

    static Snapshot of(const std::filesystem::path& directory);
    bool operator==(const Snapshot&) const = default;
};

/// "- name: content" and "+ name: content" of what differs; "" when nothing does.
std::string difference(const Snapshot& before, const Snapshot& after);

} // namespace kata_vfio::abi_test
