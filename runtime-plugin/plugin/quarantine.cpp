// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/plugin/quarantine.hpp"

#include "config/base/failure.hpp"
#include "config/base/file.hpp"
#include "runtime-plugin/plugin/crash_point.hpp"

#include <fcntl.h>
#include <stdio.h>

#include <cerrno>

namespace kata_vfio::plugin {
namespace fs = std::filesystem;

Quarantined quarantine(const StateDir& directory, const fs::path& path, const std::string& why) {
    const auto ward = directory.quarantine();
    directory.ensure(ward);
    // "sandboxes/sb1/journal" is told apart from sandbox sb2's.
    auto name = path.filename().string();
    if (const auto above = path.parent_path();
        above.parent_path() == directory.path() / "sandboxes")
        name = above.filename().string() + "." + name;
    Quarantined moved{path, ward / name, why};
    for (int next = 1;; ++next) {
        if (::renameat2(AT_FDCWD, path.c_str(), AT_FDCWD, moved.to.c_str(), RENAME_NOREPLACE) == 0)
            break;
        if (errno != EEXIST)
            throw host_failure(errno, "can't move " + path.string() + " to " + moved.to.string());
        moved.to = ward / (name + "." + std::to_string(next));
    }
    crash_point(CrashPoint::quarantine_moved);
    write_atomically(moved.to.string() + ".why", why + "\n");
    sync_directory(path.parent_path());
    return moved;
}

} // namespace kata_vfio::plugin
