// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/shim/vm/cgroup_path.hpp"

#include "config/base/text.hpp"

#include <optional>
#include <string_view>

namespace kata_vfio::shim {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view suffix = ".slice";

/// A slice is in those that the dashes of its name tell of: a-b.slice in a.slice.
std::optional<fs::path> expand_slice(std::string_view slice) {
    if (!slice.ends_with(suffix) || slice.find('/') != slice.npos)
        return std::nullopt;
    const auto name = slice.substr(0, slice.size() - suffix.size());
    if (name == "-") // the root of all
        return fs::path();
    fs::path path;
    std::string so_far;
    for (const auto part : split(name, '-')) {
        if (part.empty()) // "-a", "a--b", and no name at all
            return std::nullopt;
        so_far += (so_far.empty() ? "" : "-") + std::string(part);
        path /= so_far + std::string(suffix);
    }
    if (path.empty())
        return std::nullopt;
    return path;
}

CgroupPath nowhere(std::string why) {
    return CgroupPath{{}, false, std::move(why)};
}

CgroupPath of_unit(const std::string& text) {
    const auto parts = split(text, ':');
    if (parts.size() != 3)
        return nowhere(quoted(text) + " is neither a path nor systemd's slice:prefix:name");
    const std::string slice(parts[0].empty() ? "system.slice" : parts[0]);
    const std::string prefix(parts[1]), name(parts[2]);
    const auto directory = expand_slice(slice);
    if (!directory)
        return nowhere(quoted(slice) + " is no name of a slice");
    if (name.empty() || name.find('/') != name.npos || prefix.find('/') != prefix.npos)
        return nowhere(quoted(text) + " has no name for a scope");
    if (name.ends_with(suffix))
        return nowhere(quoted(text) + " asks for a slice, which has no processes of its own");
    const auto scope = (prefix.empty() ? "" : prefix + "-") + name + ".scope";
    return CgroupPath{*directory / scope, true, ""};
}

} // namespace

CgroupPath cgroup_path(const std::string& of_spec) {
    if (of_spec.find('\0') != of_spec.npos)
        return nowhere("it has a zero byte in it");
    if (of_spec.find(':') != of_spec.npos)
        return of_unit(of_spec);
    CgroupPath path;
    for (const auto part : split(of_spec, '/')) {
        if (part == "..")
            return nowhere(quoted(of_spec) + " has \"..\" in it");
        if (!part.empty() && part != ".")
            path.below /= part;
    }
    if (path.below.empty() && !of_spec.empty())
        return nowhere("the root of all groups is no sandbox's");
    return path;
}

} // namespace kata_vfio::shim
