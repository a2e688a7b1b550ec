// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/shim/vm/place.hpp"

#include "config/base/failure.hpp"
#include "config/base/file.hpp"
#include "config/base/text.hpp"
#include "runtime-plugin/plugin/process.hpp"
#include "runtime-plugin/shim/log.hpp"
#include "runtime-plugin/shim/ttrpc/status.hpp"
#include "runtime-plugin/shim/vm/mount.hpp"
#include "vfio/sysfs_read.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cctype>
#include <cstring>

namespace kata_vfio::shim {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t longest_socket = 107; // sockaddr_un.sun_path less its zero

void log_left(const fs::path& path) {
    log_warning("something of the sandbox is left",
                {{"path", path.native()}, {"error", std::strerror(errno)}});
}

} // namespace

bool is_containerd_name(const std::string& text) noexcept {
    if (text.empty() || text.size() > 76)
        return false;
    bool separator = true; // one may not come first
    for (const char c : text) {
        const bool word = std::isalnum(static_cast<unsigned char>(c)) != 0;
        if (!word && (separator || (c != '.' && c != '_' && c != '-')))
            return false;
        separator = !word;
    }
    return !separator;
}

Place::Place(const vfio::HostRoot& root, const std::string& containerd_namespace,
             const std::string& sandbox_id)
    : root_(root), key_(containerd_namespace + "__" + sandbox_id),
      directory_(root.run("kata-vfio/vm") / key_) {
    for (const auto& name : {containerd_namespace, sandbox_id})
        if (!is_containerd_name(name))
            throw ttrpc::Error(ttrpc::Code::invalid_argument,
                               quoted(name) + " is no name containerd has");
    if (socket().native().size() > longest_socket)
        throw ttrpc::Error(ttrpc::Code::invalid_argument,
                           "the path of the socket " + socket().native() + " is over " +
                               std::to_string(longest_socket) + " bytes: use a shorter id");
}

void Place::make() const {
    std::error_code ec;
    fs::create_directories(directory_.parent_path(), ec);
    for (const auto& path : {directory_.parent_path(), directory_})
        if ((::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) ||
            ::chmod(path.c_str(), 0700) != 0)
            throw host_failure(errno, "can't make " + path.native());
}

void Place::open_workplace(std::uint32_t user) const {
    const auto path = workplace();
    if ((workplace() / "qmp.sock").native().size() > longest_socket)
        throw Failure(Errc::config_invalid, "the path of the socket " +
                                                (workplace() / "qmp.sock").native() + " is over " +
                                                std::to_string(longest_socket) + " bytes")
            .remedy("use a shorter id");
    if ((::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) ||
        ::chown(path.c_str(), user, user) != 0)
        throw host_failure(errno, "can't make " + path.native());
}

void Place::close_workplace(std::uint32_t user) const {
    const auto path = workplace();
    if (::chown(path.c_str(), 0, 0) != 0)
        throw host_failure(errno, "can't take " + path.native() + " back");
    struct stat info {};
    const auto monitor = path / "qmp.sock";
    if (::lstat(monitor.c_str(), &info) != 0 || !S_ISSOCK(info.st_mode) || info.st_uid != user)
        throw Failure(Errc::qemu_gone, monitor.native() + " is not the socket that QEMU made");
}

std::optional<ProcessMark> Place::living(const char* file) const {
    const auto text = vfio::attribute(at(file));
    if (!text)
        return std::nullopt;
    const auto words = split(*text, ' ');
    if (words.size() != 2)
        return std::nullopt;
    const auto pid = vfio::number(words[0]);
    const auto start = vfio::number(words[1]);
    if (!pid || !start)
        return std::nullopt;
    const ProcessMark mark{static_cast<std::int64_t>(*pid), *start};
    return plugin::lives(root_, mark.pid, mark.start) ? std::optional(mark) : std::nullopt;
}

void Place::remember(const char* file, std::int64_t pid) const {
    const auto start = plugin::start_time(root_, pid).value_or(0);
    write_atomically(at(file), std::to_string(pid) + " " + std::to_string(start) + "\n");
}

void Place::remove() const {
    unmount_below(root_, directory_);
    std::error_code ec;
    for (const auto& directory : {mounts(), workplace(), directory_})
        for (const auto& entry : fs::directory_iterator(directory, ec)) {
            const int flag = entry.is_directory(ec) && !entry.is_symlink(ec) ? AT_REMOVEDIR : 0;
            if (::unlinkat(AT_FDCWD, entry.path().c_str(), flag) != 0)
                log_left(entry.path());
        }
    if (::rmdir(directory_.c_str()) != 0 && errno != ENOENT)
        log_left(directory_);
}

} // namespace kata_vfio::shim
