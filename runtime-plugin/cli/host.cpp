// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/cli/host.hpp"

#include "config/base/failure.hpp"
#include "config/load.hpp"
#include "config/validate.hpp"

#include <cstdlib>

namespace kata_vfio::cli {
namespace fs = std::filesystem;

std::optional<std::string> Host::owner(const std::string& claim, std::optional<int> group) const {
    if (auto sandbox = claims().owner(claim))
        return sandbox;
    return group ? claims().owner(plugin::group_claim(*group)) : std::nullopt;
}

void Host::require_unclaimed(const std::string& what, const std::string& claim,
                             std::optional<int> group) const {
    if (const auto sandbox = owner(claim, group))
        throw Failure(Errc::device_in_use, what + " belongs to a sandbox")
            .blocked_by("sandbox " + *sandbox)
            .remedy("detach it there (kata-vfio detach " + *sandbox +
                    " ...), or give back all it has: kata-vfio sandbox release " + *sandbox);
}

std::optional<std::string> OwnerView::of(const std::string& claim, std::optional<int> group) {
    if (!note_.empty())
        return std::nullopt;
    try {
        return host_.owner(claim, group);
    } catch (const Failure& failure) {
        if (failure.code() != Errc::permission_denied && failure.code() != Errc::state_corrupt)
            throw;
        note_ = std::string("which sandbox has what is not shown: ") + failure.what();
        return std::nullopt;
    }
}

std::optional<fs::path> configuration_file(const Arguments& arguments) {
    if (!arguments.config.empty())
        return fs::path(arguments.config);
    const char* named = std::getenv("KATA_CONF_FILE");
    const bool is_named = named && *named;
    try {
        return config::find(arguments.root, named);
    } catch (const Failure&) {
        if (is_named)
            throw;
        return std::nullopt; // every place was looked at, and none is needed
    }
}

std::optional<Failure> unusable_configuration(const Arguments& arguments) {
    try {
        if (const auto file = configuration_file(arguments))
            (void)config::load(*file);
    } catch (const Failure& refused) {
        return refused;
    }
    return std::nullopt;
}

Host open_host(const Arguments& arguments) {
    config::Configuration configuration;
    if (const auto file = configuration_file(arguments)) {
        configuration = config::load(*file);
        if (const auto finding = config::state_dir_is_usable(configuration))
            throw finding->failure();
    }
    const fs::path state(configuration.vfio.state_dir);
    return Host{vfio::HostRoot(arguments.root),
                plugin::StateDir(fs::path(arguments.root) / state.relative_path()),
                configuration.vfio.timeouts};
}

} // namespace kata_vfio::cli
