// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/base/unique_fd.hpp"

#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace kata_vfio::agent {

/// One of the kernel's messages about devices: "add@/devices/..." and KEY=VALUE, each ended by a
/// zero byte. Source: Documentation/core-api/kobject.rst, lib/kobject_uevent.c.
struct Uevent {
    std::string action;
    std::map<std::string, std::string> values;
};
/// nullopt when it is not the kernel's form (udev's own messages start with "libudev").
std::optional<Uevent> parse_uevent(std::string_view message);

/// The kernel's own multicast group, non-blocking. Messages that were lost (ENOBUFS) are told as
/// an event without an action: look again at everything.
class UeventSocket {
  public:
    UeventSocket();
    int fd() const noexcept { return fd_.get(); }
    std::optional<Uevent> next();

  private:
    UniqueFd fd_;
};

} // namespace kata_vfio::agent
