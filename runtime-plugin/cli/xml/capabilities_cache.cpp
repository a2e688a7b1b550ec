// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/cli/xml/capabilities_cache.hpp"

#include "config/base/file.hpp"
#include "config/base/unique_fd.hpp"
#include "runtime-plugin/plugin/distrust.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>

namespace kata_vfio::cli {
namespace fs = std::filesystem;
namespace {

/// Some 100 KB each; a host has a few QEMUs.
constexpr std::size_t most_bytes = 4u << 20, most_files = 32;

/// Below libvirt's root (virQEMUCapsCacheNew() of its src/qemu/qemu_capabilities.c).
fs::path capabilities_of(const fs::path& run) {
    return run / "cache/qemu/capabilities";
}

/// SHA-256 of the binary's path, in hexadecimal: nothing else is libvirt's.
bool is_capabilities(const fs::path& name) {
    const auto stem = name.stem().string();
    return name.extension() == ".xml" && stem.size() == 64 &&
           std::all_of(stem.begin(), stem.end(),
                       [](unsigned char c) { return std::isxdigit(c) != 0; });
}

/// Ours, and nobody else can put anything in it: what root writes there must not go by another
/// user's links.
bool is_own(const fs::path& directory) {
    struct stat st {};
    return ::lstat(directory.c_str(), &st) == 0 && S_ISDIR(st.st_mode) &&
           st.st_uid == ::geteuid() && (st.st_mode & 022) == 0;
}

/// Each file of `from` that may be one, to `put`. The directory may be another user's: a link there
/// is not followed, and a file is read by its descriptor.
template <class Put>
void each_in(const fs::path& from, Put&& put) {
    std::error_code ec;
    std::size_t count = 0;
    for (fs::directory_iterator it(from, ec), end; !ec && it != end; it.increment(ec)) {
        const auto name = it->path().filename();
        if (!is_capabilities(name))
            continue;
        if (++count > most_files)
            return;
        const UniqueFd fd(
            ::open(it->path().c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
        struct stat st {};
        if (!fd || ::fstat(fd.get(), &st) != 0 || !S_ISREG(st.st_mode) || st.st_size <= 0 ||
            static_cast<std::size_t>(st.st_size) > most_bytes)
            continue;
        std::string bytes(static_cast<std::size_t>(st.st_size), '\0');
        if (::read(fd.get(), bytes.data(), bytes.size()) == st.st_size)
            put(name, bytes);
    }
}

} // namespace

fs::path choose_cache(const char* xdg, const char* home, bool is_root, const fs::path& root) {
    constexpr auto name = "kata-vfio-libvirt";
    if (xdg && *xdg == '/')
        return fs::path(xdg) / name;
    if (is_root)
        return root / "var/cache" / name;
    return home && *home == '/' ? fs::path(home) / ".cache" / name : fs::path();
}

void CapabilitiesCache::lend(const fs::path& run) const noexcept {
    try {
        if (directory_.empty() || !is_own(directory_))
            return;
        const auto to = capabilities_of(run);
        each_in(directory_, [&](const fs::path& name, const std::string& bytes) {
            fs::create_directories(to);
            write_atomically(to / name, bytes);
        });
    } catch (const std::exception&) { // found out anew
    }
}

void CapabilitiesCache::keep(const fs::path& run) const noexcept {
    try {
        if (directory_.empty())
            return;
        each_in(capabilities_of(run), [&](const fs::path& name, const std::string& bytes) {
            std::error_code ec;
            fs::create_directories(directory_.parent_path(), ec);
            if ((::mkdir(directory_.c_str(), 0700) != 0 && errno != EEXIST) || !is_own(directory_))
                return;
            const auto kept = directory_ / name;
            if (plugin::read_own(kept, most_bytes).bytes != bytes)
                write_atomically(kept, bytes);
        });
    } catch (const std::exception&) { // next time
    }
}

} // namespace kata_vfio::cli
