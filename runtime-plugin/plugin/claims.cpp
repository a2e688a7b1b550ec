// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/plugin/claims.hpp"

#include "config/base/failure.hpp"
#include "config/base/file.hpp"
#include "config/base/text.hpp"

#include <cerrno>

namespace kata_vfio::plugin {

void Claims::take(const std::string& name, const std::string& sandbox) const {
    const auto held = directory_.lock();
    if (const auto other = owner(name); other && *other != sandbox)
        throw Failure(Errc::device_in_use, name + " belongs to another sandbox")
            .blocked_by("sandbox " + *other)
            .remedy("detach it there first, or release that sandbox");
    directory_.ensure(directory_.claims());
    write_atomically(directory_.claims() / name, sandbox + "\n");
}

void Claims::drop(const std::string& name, const std::string& sandbox) const {
    const auto held = directory_.lock();
    const auto path = directory_.claims() / name;
    const auto text = read_file(path, 4096);
    if (!text || trim(*text) != sandbox)
        return;
    if (::unlink(path.c_str()) != 0 && errno != ENOENT)
        throw host_failure(errno, "can't remove the claim " + path.string());
}

std::optional<std::string> Claims::owner(const std::string& name) const {
    const auto text = read_file(directory_.claims() / name, 4096);
    if (!text)
        return std::nullopt;
    std::string sandbox(trim(*text));
    std::error_code ec;
    if (sandbox.empty() || !std::filesystem::exists(directory_.sandbox(sandbox), ec))
        return std::nullopt;
    return sandbox;
}

std::string function_claim(const std::string& bdf) {
    return "function-" + bdf;
}
std::string mdev_claim(const std::string& uuid) {
    return "mdev-" + uuid;
}
std::string group_claim(int group) {
    return "group-" + std::to_string(group);
}

} // namespace kata_vfio::plugin
