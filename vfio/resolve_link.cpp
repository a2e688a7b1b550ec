// SPDX-License-Identifier: Apache-2.0
#include "vfio/resolve_link.hpp"

#include "config/base/failure.hpp"

#include <deque>

namespace kata_vfio::vfio {
namespace fs = std::filesystem;

fs::path resolve_inside(const HostRoot& root, const fs::path& told) {
    std::deque<fs::path> todo;
    const auto relative = told.relative_path();
    for (const auto& part : relative)
        todo.push_back(part);
    fs::path done = "/";
    int links = 0;
    while (!todo.empty()) {
        const auto part = todo.front();
        todo.pop_front();
        if (part.empty() || part == ".")
            continue;
        if (part == "..") {
            done = done.parent_path();
            continue;
        }
        const auto below_root = root.root() / (done / part).relative_path();
        std::error_code ec;
        const auto target = fs::read_symlink(below_root, ec);
        if (ec) { // no link, or nothing there
            done /= part;
            continue;
        }
        if (++links > 40) // as the kernel's MAXSYMLINKS
            throw Failure(Errc::device_not_found, told.string() + " is a loop of symbolic links");
        if (target.is_absolute())
            done = "/";
        const auto parts = target.relative_path();
        todo.insert(todo.begin(), parts.begin(), parts.end());
    }
    return done;
}

} // namespace kata_vfio::vfio
