// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/plugin/device_request.hpp"

#include "config/base/failure.hpp"
#include "config/base/text.hpp"

#include <algorithm>
#include <charconv>

namespace kata_vfio::plugin {
namespace {

constexpr std::string_view forms =
    "name it as /dev/vfio/N, a BDF such as 0000:00:02.0, a UUID, or TYPE[@PARENT] such as "
    "i915-GVTg_V4_8@0000:00:02.0";

std::optional<DevnumRequest> devnum(std::string_view text) {
    const auto colon = text.find(':');
    if (colon == text.npos)
        return std::nullopt;
    DevnumRequest request;
    const auto number = [](std::string_view digits, unsigned& out) {
        const auto* end = digits.data() + digits.size();
        const auto result = std::from_chars(digits.data(), end, out);
        return !digits.empty() && result.ec == std::errc() && result.ptr == end;
    };
    if (!number(text.substr(0, colon), request.major) ||
        !number(text.substr(colon + 1), request.minor))
        return std::nullopt;
    return request;
}

/// Only hex digits and four dashes: somebody's attempt at a UUID, not a type.
bool meant_as_uuid(std::string_view text) {
    return std::count(text.begin(), text.end(), '-') == 4 &&
           text.find_first_not_of("0123456789abcdefABCDEF-{}") == text.npos;
}

/// The name becomes a path component below sysfs.
std::string component(std::string_view text, std::string_view what) {
    const bool printable = std::all_of(text.begin(), text.end(),
                                       [](unsigned char c) { return c >= 0x20 && c < 0x7f; });
    if (text.empty() || text.size() > 128 || text == "." || text == ".." || !printable ||
        text.find('/') != text.npos)
        throw Failure(Errc::malformed_device,
                      quoted(text) + " can't be the name of an mdev " + std::string(what))
            .remedy(std::string(forms));
    return std::string(text);
}

DeviceRequest parse_existing(std::string_view device) {
    if (device.starts_with('/'))
        return NodeRequest{std::string(device)};
    if (const auto request = devnum(device))
        return *request;
    if (mdev::Uuid::looks_like(device) || meant_as_uuid(device))
        return MdevRequest{mdev::Uuid::require(device)};
    return FunctionRequest{vfio::PciAddress::require(device)};
}

} // namespace

DeviceRequest parse_device(std::string_view device, std::string_view uuid) {
    if (device.empty())
        throw Failure(Errc::malformed_device, "the device is empty").remedy(std::string(forms));
    if (device.find('\0') != device.npos)
        throw Failure(Errc::malformed_device, quoted(device) + " has a NUL byte in it")
            .remedy(std::string(forms));

    const auto at = device.rfind('@');
    const auto type = device.substr(0, at);
    const bool existing = device.starts_with('/') || type.find(':') != type.npos ||
                          mdev::Uuid::looks_like(device) || meant_as_uuid(device);
    if (existing) {
        if (!uuid.empty())
            throw Failure(Errc::invalid_argument,
                          "a UUID is given, but " + quoted(device) + " exists already")
                .remedy("give a UUID only with TYPE[@PARENT], a vGPU that is to be made");
        return parse_existing(device);
    }
    VgpuRequest request{component(type, "type"), std::nullopt, std::nullopt};
    if (at != device.npos)
        request.parent = component(device.substr(at + 1), "parent");
    if (!uuid.empty())
        request.uuid = mdev::Uuid::require(uuid);
    return request;
}

} // namespace kata_vfio::plugin
