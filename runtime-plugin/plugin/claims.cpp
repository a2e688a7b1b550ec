// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/plugin/claims.hpp"

#include "config/base/failure.hpp"
#include "config/base/file.hpp"
#include "config/base/text.hpp"
#include "config/base/unique_fd.hpp"
#include "runtime-plugin/plugin/crash_point.hpp"
#include "runtime-plugin/plugin/distrust.hpp"
#include "runtime-plugin/plugin/process.hpp"
#include "runtime-plugin/plugin/sandbox_id.hpp"
#include "vfio/sysfs_read.hpp"

#include <boost/json.hpp>
#include <boost/system/system_error.hpp>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <ostream>
#include <stdexcept>

namespace kata_vfio::plugin {
namespace json = boost::json;
namespace {

constexpr int version = 1;

std::string require_id(std::string_view text) {
    try {
        return require_sandbox_id(text);
    } catch (const Failure& failure) {
        throw std::invalid_argument(failure.problem());
    }
}

Claim claim_from_json(const json::object& object) {
    if (const auto found = json::value_to<int>(object.at("v")); found != version)
        throw std::invalid_argument("version " + std::to_string(found) +
                                    ", but this kata-vfio writes version " +
                                    std::to_string(version));
    Claim claim;
    claim.sandbox = require_id(object.at("sandbox").as_string());
    claim.pid = json::value_to<std::int64_t>(object.at("pid"));
    claim.start = json::value_to<std::uint64_t>(object.at("start"));
    return claim;
}

} // namespace

std::ostream& operator<<(std::ostream& out, ClaimLife life) {
    switch (life) {
    case ClaimLife::living:
        return out << "living";
    case ClaimLife::remembered:
        return out << "remembered";
    case ClaimLife::stale:
        return out << "stale";
    }
    return out;
}

std::optional<Claim> parse_claim(std::string_view bytes) {
    if (!bytes.ends_with('\n') || trim(bytes).empty())
        return std::nullopt;
    const auto line = trim(bytes);
    if (line.front() != '{')
        return Claim{require_id(line), 0, 0};
    try {
        return claim_from_json(json::parse(line).as_object());
    } catch (const boost::system::system_error& error) {
        // what() would add the source position inside Boost.JSON.
        throw std::invalid_argument(error.code().message());
    } catch (const std::out_of_range& error) { // a key that is missing
        throw std::invalid_argument(error.what());
    }
}

std::string claim_line(const Claim& claim) {
    return json::serialize(json::object{{"v", version},
                                        {"sandbox", claim.sandbox},
                                        {"pid", claim.pid},
                                        {"start", claim.start}}) +
           "\n";
}

void Claims::take(const std::vector<std::string>& names, const Claim& owner) const {
    const auto held = directory_.lock();
    if (names.size() == 1 && write(names.front(), owner, O_EXCL)) { // as most often
        crash_point(CrashPoint::claims_one_taken);
        return;
    }
    std::vector<std::string> missing;
    for (const auto& name : names) {
        const auto other = owning(name);
        if (other && other->sandbox != owner.sandbox)
            throw Failure(Errc::device_in_use, name + " belongs to another sandbox")
                .blocked_by("sandbox " + other->sandbox)
                .remedy("detach it there first, or release that sandbox; if its QEMU is dead, "
                        "kata-vfio reconcile gives the device back");
        if (!other || *other != owner)
            missing.push_back(name);
    }
    for (const auto& name : missing) {
        write(name, owner, O_TRUNC);
        crash_point(CrashPoint::claims_one_taken);
    }
}

bool Claims::write(const std::string& name, const Claim& claim, int how) const {
    const auto path = file(name);
    const auto open = [&] {
        return UniqueFd(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | how, 0600));
    };
    // Neither synced nor renamed into place: the lock keeps readers away, a claim cut off by a kill
    // is nobody's (parse_claim()), and after a power cut no device is attached to anything.
    auto fd = open();
    if (!fd && errno == ENOENT) {
        directory_.ensure(directory_.claims());
        fd = open();
    }
    if (!fd && errno == EEXIST)
        return false;
    if (!fd)
        throw host_failure(errno, "can't make the claim " + path);
    const auto line = claim_line(claim);
    if (const int error = write_fault(CrashPoint::claims_write)) {
        ::unlink(path.c_str());
        throw host_failure(error, "can't write the claim " + path);
    }
    const auto n = ::write(fd.get(), line.data(), line.size());
    if (n == static_cast<ssize_t>(line.size()))
        return true;
    const int error = n < 0 ? errno : ENOSPC;
    ::unlink(path.c_str());
    throw host_failure(error, "can't write the claim " + path);
}

void Claims::drop(const std::string& name, const std::string& sandbox) const {
    const auto held = directory_.lock();
    const auto path = file(name);
    const auto there = read_own(path, 4096);
    if (!there.bytes)
        return; // or reconcile's to put aside
    try {
        const auto claim = parse_claim(*there.bytes);
        if (claim && claim->sandbox != sandbox)
            return;
    } catch (const std::invalid_argument&) {
        return; // so is this
    }
    if (::unlink(path.c_str()) != 0 && errno != ENOENT)
        throw host_failure(errno, "can't remove the claim " + path);
}

bool Claims::drop_dead(const std::string& name, const Claim& claim) const {
    const auto held = directory_.lock();
    if (read(name) != claim || life(claim) == ClaimLife::living)
        return false;
    if (::unlink(file(name).c_str()) != 0 && errno != ENOENT)
        throw host_failure(errno, "can't remove the claim " + file(name));
    return true;
}

std::optional<Claim> Claims::read(const std::string& name) const {
    const auto corrupt = [&](std::string why) {
        return Failure(Errc::state_corrupt, file(name) + " is not a claim")
            .said(std::move(why))
            .remedy("kata-vfio reconcile puts it aside");
    };
    auto there = read_own(file(name), 4096);
    if (!there.distrust.empty())
        throw corrupt(std::move(there.distrust));
    if (!there.bytes)
        return std::nullopt;
    try {
        return parse_claim(*there.bytes);
    } catch (const std::exception& error) {
        throw corrupt(error.what());
    }
}

ClaimLife Claims::life(const Claim& claim) const {
    if (lives(root_, claim.pid, claim.start))
        return ClaimLife::living;
    std::error_code ec;
    return std::filesystem::exists(directory_.sandbox(claim.sandbox), ec) ? ClaimLife::remembered
                                                                          : ClaimLife::stale;
}

std::optional<Claim> Claims::owning(const std::string& name) const {
    auto claim = read(name);
    if (claim && life(*claim) == ClaimLife::stale)
        return std::nullopt;
    return claim;
}

std::optional<std::string> Claims::owner(const std::string& name) const {
    auto claim = owning(name);
    return claim ? std::optional(std::move(claim->sandbox)) : std::nullopt;
}

std::vector<std::string> Claims::names() const {
    return vfio::names_in(directory_.claims());
}

Claim claim_of(const SandboxState& state) {
    return Claim{state.id, state.qemu_pid, state.qemu_start};
}

std::vector<std::string> claims_of(const Attachment& attachment) {
    std::vector<std::string> claims{own_claim(attachment)};
    if (attachment.kind == Kind::pci && attachment.iommu_group)
        claims.push_back(group_claim(*attachment.iommu_group));
    return claims;
}

std::string own_claim(const Attachment& attachment) {
    return attachment.kind == Kind::mdev ? mdev_claim(attachment.uuid)
                                         : function_claim(attachment.host_address);
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
