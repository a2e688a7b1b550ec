// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/cli/function_turn.hpp"

#include "config/base/failure.hpp"

#include <fcntl.h>

#include <cerrno>

namespace kata_vfio::cli {

plugin::FileLock take_turn(const vfio::HostRoot& root, const vfio::PciAddress& address) {
    const auto path = root.sys("bus/pci/devices") / address.text();
    UniqueFd directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!directory && errno == ENOENT)
        throw Failure(Errc::device_not_found, "PCI function " + address.text() + " is gone");
    int wrong = directory ? ::flock(directory.get(), LOCK_EX) : -1;
    while (wrong != 0 && errno == EINTR)
        wrong = ::flock(directory.get(), LOCK_EX);
    if (wrong != 0)
        throw host_failure(errno, "can't lock " + path.string());
    return plugin::FileLock(std::move(directory));
}

} // namespace kata_vfio::cli
