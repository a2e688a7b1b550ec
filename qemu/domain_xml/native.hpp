// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/json/object.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace kata_vfio::qemu::domain_xml {

/// The words of the command line that libvirt writes ("qemu-argv"): separated by blanks, in single
/// quotes where they need it, a quote within as '\''. Throws Failure(invalid_argument) for a quote
/// that is not closed.
std::vector<std::string> split_native(std::string_view command_line);

/// Of such a command line the -device arguments with a driver of VFIO's, in their order. libvirt
/// writes JSON for every QEMU since 6.2; one that is not is passed over, as no VFIO device can be
/// in it. Throws as split_native().
std::vector<boost::json::object> vfio_devices(std::string_view command_line);

/// In which properties two -device (or device_add) arguments differ in what QEMU does with them;
/// [] when they mean the same. What counts as the same: `host` and the function's `sysfsdev`
/// (hw/vfio/pci.c makes one of the other), "0x5", "05" and "05.0", a default that is written out
/// and one that is not, `multifunction` of a function that is not 0. The id is a name and is not
/// compared. `left` and `right` are how the texts call the two.
std::vector<std::string> differences(const boost::json::object& one, std::string_view left,
                                     const boost::json::object& other, std::string_view right);

/// The host's device that the arguments name, as sysfsdev; "" when they name none.
std::string host_device(const boost::json::object& arguments);

} // namespace kata_vfio::qemu::domain_xml
