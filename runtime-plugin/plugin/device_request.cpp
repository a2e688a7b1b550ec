// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/plugin/device_request.hpp"

#include "config/base/failure.hpp"
#include "config/base/text.hpp"

#include <algorithm>
#include <charconv>

namespace kata_vfio::plugin {
namespace {

constexpr std::string_view forms =
    "name it as /dev/vfio/N, a BDF such as 0000:00:02.0, a UUID, TYPE[@PARENT] such as "
    "i915-GVTg_V4_8@0000:00:02.0, or vgpu:low_gm=128MB,resolution=1920x1200";
constexpr std::string_view by_minimum = "vgpu:";
constexpr std::string_view sriov_type = "sriov";

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

/// "vgpu:KEY=VALUE,..." without the parent.
class MinimumParser {
  public:
    explicit MinimumParser(std::string_view device) : device_(device) {}

    VgpuRequest parse(std::string_view list) {
        for (const auto entry : split(list, ',')) {
            const auto equals = entry.find('=');
            if (equals == entry.npos)
                refuse(quoted(entry) + " is not KEY=VALUE");
            const auto key = entry.substr(0, equals);
            if (std::find(seen_.begin(), seen_.end(), key) != seen_.end())
                refuse(quoted(key) + " comes twice");
            seen_.emplace_back(key);
            assign(key, entry.substr(equals + 1));
        }
        if (!request_.type && request_.minimum.empty())
            refuse("it says neither type nor size");
        return std::move(request_);
    }

  private:
    [[noreturn]] void refuse(const std::string& why) const {
        throw Failure(Errc::malformed_device, quoted(device_) + ": " + why)
            .remedy(
                "write vgpu:KEY=VALUE,... with type, low_gm, high_gm, fence, resolution, weight "
                "and keep, and @PARENT behind it where that matters");
    }

    template <class T>
    T required(const std::optional<T>& value, std::string_view key, std::string_view text,
               std::string_view example) const {
        if (!value)
            refuse(std::string(key) + " can't be " + quoted(text) + ": write it as " +
                   std::string(example));
        return *value;
    }

    static std::optional<unsigned> number(std::string_view text) {
        unsigned value = 0;
        const auto* end = text.data() + text.size();
        const auto read = std::from_chars(text.data(), end, value);
        return read.ec == std::errc() && read.ptr == end && value > 0 ? std::optional(value)
                                                                      : std::nullopt;
    }

    void assign(std::string_view key, std::string_view value) {
        auto& minimum = request_.minimum;
        if (key == "type")
            request_.type = component(value, "type");
        else if (key == "low_gm")
            minimum.low_gm_mb = required(config::megabytes(value), key, value, "128MB");
        else if (key == "high_gm")
            minimum.high_gm_mb = required(config::megabytes(value), key, value, "512MB");
        else if (key == "fence")
            minimum.fence = required(number(value), key, value, "4");
        else if (key == "weight")
            minimum.weight = required(number(value), key, value, "4");
        else if (key == "resolution")
            minimum.resolution = required(config::parse_resolution(value), key, value, "1920x1200");
        else if (key == "keep" && (value == "true" || value == "false"))
            request_.keep = value == "true";
        else if (key == "keep")
            refuse("keep is true or false, not " + quoted(value));
        else if (key == "ramfb" || key == "opregion" || key == "x-igd-opregion")
            // QEMU: ramfb makes it vfio-pci-nohotplug; "IGD OpRegion is not supported on
            // hotplugged device" (hw/vfio/igd.c).
            throw Failure(Errc::malformed_device,
                          std::string(key) + " is for devices that QEMU is started with alone")
                .remedy("put the vGPU on QEMU's command line (make it with kata-vfio create), or "
                        "leave " +
                        std::string(key) + " out");
        else
            refuse(quoted(key) + " is no key of it");
    }

    std::string_view device_;
    std::vector<std::string> seen_;
    VgpuRequest request_;
};

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
    if (device.starts_with(by_minimum)) {
        auto request = MinimumParser(device).parse(type.substr(by_minimum.size()));
        if (at != device.npos)
            request.parent = component(device.substr(at + 1), "parent");
        if (!uuid.empty())
            request.uuid = mdev::Uuid::require(uuid);
        return request;
    }
    const bool existing = device.starts_with('/') || type.find(':') != type.npos ||
                          mdev::Uuid::looks_like(device) || meant_as_uuid(device);
    if (existing) {
        if (!uuid.empty())
            throw Failure(Errc::invalid_argument,
                          "a UUID is given, but " + quoted(device) + " exists already")
                .remedy("give a UUID only with TYPE[@PARENT], a vGPU that is to be made");
        return parse_existing(device);
    }
    if (type == sriov_type) {
        if (!uuid.empty())
            throw Failure(Errc::invalid_argument,
                          "a UUID is given, and a virtual function has none")
                .remedy("leave the UUID out");
        SriovRequest virtual_function;
        if (at != device.npos)
            virtual_function.parent = vfio::PciAddress::require(device.substr(at + 1)).text();
        return virtual_function;
    }
    VgpuRequest request;
    request.type = component(type, "type");
    if (at != device.npos)
        request.parent = component(device.substr(at + 1), "parent");
    if (!uuid.empty())
        request.uuid = mdev::Uuid::require(uuid);
    return request;
}

std::string vgpu_device(const config::Vgpu& wanted) {
    const auto parent = wanted.parent.empty() ? std::string() : "@" + wanted.parent;
    if (!wanted.sized())
        return wanted.type + parent;
    std::vector<std::string> entries;
    const auto add = [&](const char* key, const std::string& value) {
        if (!value.empty())
            entries.push_back(std::string(key) + "=" + value);
    };
    const auto number = [](std::int64_t value) {
        return value > 0 ? std::to_string(value) : std::string();
    };
    add("type", wanted.type);
    add("low_gm", wanted.low_gm);
    add("high_gm", wanted.high_gm);
    add("fence", number(wanted.fence));
    add("resolution", wanted.resolution);
    add("weight", number(wanted.weight));
    std::string list;
    for (const auto& entry : entries)
        list += (list.empty() ? "" : ",") + entry;
    return std::string(by_minimum) + list + parent;
}

} // namespace kata_vfio::plugin
