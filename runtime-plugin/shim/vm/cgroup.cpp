// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/shim/vm/cgroup.hpp"

#include "config/base/failure.hpp"
#include "config/base/text.hpp"
#include "config/base/unique_fd.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace kata_vfio::shim {
namespace fs = std::filesystem;

HostCgroup::HostCgroup(const vfio::HostRoot& root, const std::string& path) {
    const auto mount = root.sys("fs/cgroup");
    std::error_code ec;
    if (!fs::exists(mount / "cgroup.controllers", ec))
        return;
    fs::path below;
    for (const auto part : split(path, '/')) {
        if (part == ".." || part.find(':') != part.npos)
            return;
        if (!part.empty() && part != ".")
            below /= part;
    }
    if (!below.empty())
        directory_ = mount / below;
}

void HostCgroup::take(std::int64_t pid) const {
    if (directory_.empty())
        return;
    std::error_code ec;
    fs::create_directories(directory_, ec);
    if (ec)
        throw host_failure(ec.value(), "can't make the cgroup " + directory_.native());
    const auto text = std::to_string(pid);
    const UniqueFd file(::open((directory_ / "cgroup.procs").c_str(), O_WRONLY | O_CLOEXEC));
    if (!file || ::write(file.get(), text.data(), text.size()) < 0)
        throw host_failure(errno, "can't put QEMU into the cgroup " + directory_.native());
}

void HostCgroup::remove() const noexcept {
    if (!directory_.empty())
        ::rmdir(directory_.c_str());
}

} // namespace kata_vfio::shim
