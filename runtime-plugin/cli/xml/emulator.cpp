// SPDX-License-Identifier: Apache-2.0
#include "config/base/failure.hpp"
#include "config/base/text.hpp"
#include "config/load.hpp"
#include "runtime-plugin/cli/host.hpp"
#include "runtime-plugin/cli/xml/xml_verbs.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

namespace kata_vfio::cli {
namespace fs = std::filesystem;
namespace {

/// The first of the path's parts that somebody besides root and this user can change; "" if there
/// is none. In a sticky directory others can't put something in the place of what is not theirs.
fs::path changeable(const fs::path& path) {
    fs::path part;
    for (const auto& name : path) {
        part /= name;
        struct stat found {};
        if (::lstat(part.c_str(), &found) != 0)
            return part;
        const bool ours = found.st_uid == 0 || found.st_uid == ::geteuid();
        const bool open = !S_ISLNK(found.st_mode) && (found.st_mode & (S_IWGRP | S_IWOTH)) != 0 &&
                          !(S_ISDIR(found.st_mode) && (found.st_mode & S_ISVTX) != 0);
        if (!ours || open)
            return part;
    }
    return {};
}

} // namespace

void require_own_emulator(const Arguments& arguments, const qemu::domain_xml::Domain& domain) {
    const auto& emulator = domain.emulator;
    if (emulator.empty())
        return;
    if (const auto file = configuration_file(arguments))
        if (config::load(*file).hypervisor.path == emulator)
            return;
    const auto refused = [&](const std::string& why) {
        return Failure(Errc::host_io,
                       "domain " + domain.name + ": the emulator " + quoted(emulator) + " " + why)
            .remedy("name it as path in configuration.toml if it is to be run, or leave <emulator> "
                    "out of the XML");
    };
    std::error_code ec;
    const auto real = fs::canonical(emulator, ec);
    if (ec)
        throw refused("is not there").sys(ec.value());
    for (const auto& path : {fs::path(emulator), real})
        if (const auto part = changeable(path); !part.empty())
            throw refused("can be changed by others, and libvirt would run it")
                .blocked_by(quoted(part.string()) + (part == path ? "" : ", a folder it is in,") +
                            " is writable for, or belongs to, somebody else");
}

} // namespace kata_vfio::cli
