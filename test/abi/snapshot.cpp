// SPDX-License-Identifier: Apache-2.0
#include "test/abi/snapshot.hpp"

#include "config/base/text.hpp"

#include <sys/stat.h>

#include <fstream>
#include <sstream>

namespace kata_vfio::abi_test {
namespace fs = std::filesystem;
namespace {

std::string content(const fs::path& path) {
    std::ifstream in(path, std::ios::binary);
    std::ostringstream text;
    text << in.rdbuf();
    if (path.filename() == "driver_override" && trim(text.str()).empty())
        return "file (null)\n";
    return "file " + text.str();
}

/// Whose a node is, and its mode: "0:0 0600 ".
std::string rights(const fs::path& path) {
    struct stat info {};
    if (::lstat(path.c_str(), &info) != 0)
        return {};
    std::ostringstream text;
    text << info.st_uid << ':' << info.st_gid << " 0" << std::oct << (info.st_mode & 07777) << ' ';
    return text.str();
}

} // namespace

Snapshot Snapshot::of(const fs::path& directory) {
    Snapshot snapshot;
    for (fs::recursive_directory_iterator it(directory), end; it != end; ++it) {
        const auto status = it->symlink_status();
        const auto name = it->path().lexically_relative(directory).string();
        auto& entry = snapshot.entries[name];
        if (fs::is_symlink(status))
            entry = "link " + fs::read_symlink(it->path()).string();
        else if (fs::is_directory(status))
            entry = "directory";
        else if (fs::is_fifo(status))
            entry = "fifo";
        else
            entry = (name.starts_with("dev/") ? rights(it->path()) : "") + content(it->path());
    }
    return snapshot;
}

std::string difference(const Snapshot& before, const Snapshot& after) {
    std::string text;
    for (const auto& [name, entry] : before.entries) {
        const auto now = after.entries.find(name);
        if (now == after.entries.end() || now->second != entry)
            text += "- " + name + ": " + entry + "\n";
    }
    for (const auto& [name, entry] : after.entries) {
        const auto earlier = before.entries.find(name);
        if (earlier == before.entries.end() || earlier->second != entry)
            text += "+ " + name + ": " + entry + "\n";
    }
    return text;
}

} // namespace kata_vfio::abi_test
