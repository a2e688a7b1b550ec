// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/json/object.hpp>
#include <libvirt/libvirt.h>

#include <filesystem>
#include <string>

namespace kata_vfio::libvirt {

/// libvirt's QEMU driver within this process (qemu:///embed), on a directory of its own: no daemon,
/// nothing of the host's libvirt is read or changed. One a process; it starts threads that stay.
class Embedded {
  public:
    /// Throws Failure (host_io) with libvirt's words, e.g. when its QEMU driver is not installed.
    explicit Embedded(const std::filesystem::path& directory);

    /// `request`: {"xml", "command_xml", "emulator", "machine", "type"}, all texts, the last three
    /// "" for libvirt's choice. What libvirt makes of the domain, each part on its own:
    ///     {"libvirt": "9.0.0",
    ///      "capabilities": X,    domain capabilities XML of that emulator and machine
    ///      "definition": X,      the domain as it would be kept, checked against the schema
    ///      "command_line": X}    QEMU's command line for command_xml
    /// where X is {"text": "..."}, or {"refused": "libvirt's words"}.
    boost::json::object check(const boost::json::object& request) const;

  private:
    virConnectPtr connection_;
};

} // namespace kata_vfio::libvirt
