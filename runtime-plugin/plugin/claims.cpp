// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/plugin/claims.hpp"

#include "config/base/failure.hpp"
#include "config/base/file.hpp"
#include "config/base/text.hpp"
#include "config/base/unique_fd.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

namespace kata_vfio::plugin {

void Claims::take(const std::vector<std::string>& names, const std::string& sandbox) const {
    const auto held = directory_.lock();
    std::vector<std::string> missing;
    for (const auto& name : names) {
        const auto other = owner(name);
        if (!other)
            missing.push_back(name);
        else if (*other != sandbox)
            throw Failure(Errc::device_in_use, name + " belongs to another sandbox")
                .blocked_by("sandbox " + *other)
                .remedy("detach it there first, or release that sandbox");
    }
    for (const auto& name : missing)
        write(directory_.claims() / name, sandbox + "\n");
}

void Claims::write(const std::filesystem::path& path, const std::string& line) const {
    const auto open = [&] {
        return UniqueFd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    };
    // Neither synced nor renamed into place: the lock keeps readers away, a claim cut off by a kill
    // is nobody's (owner()), and after a power cut no device is attached to anything.
    auto fd = open();
    if (!fd && errno == ENOENT) {
        directory_.ensure(directory_.claims());
        fd = open();
    }
    if (!fd)
        throw host_failure(errno, "can't make the claim " + path.string());
    const auto n = ::write(fd.get(), line.data(), line.size());
    if (n != static_cast<ssize_t>(line.size()))
        throw host_failure(n < 0 ? errno : ENOSPC, "can't write the claim " + path.string());
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
    if (!text->ends_with('\n') || sandbox.empty() ||
        !std::filesystem::exists(directory_.sandbox(sandbox), ec))
        return std::nullopt;
    return sandbox;
}

std::vector<std::string> claims_of(const Attachment& attachment) {
    if (attachment.kind == Kind::mdev)
        return {mdev_claim(attachment.uuid)};
    std::vector<std::string> claims{function_claim(attachment.host_address)};
    if (attachment.iommu_group)
        claims.push_back(group_claim(*attachment.iommu_group));
    return claims;
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
