// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>

namespace kata_vfio::cli {

/// Where what libvirt has found out of QEMUs is kept between two checks: kata-vfio-libvirt in
/// XDG_CACHE_HOME (`xdg`), else root's is in /var/cache below `root` and others' in ~/.cache
/// (`home`); "" where there is none of these.
std::filesystem::path choose_cache(const char* xdg, const char* home, bool is_root,
                                   const std::filesystem::path& root);

/// What libvirt has found out of each QEMU binary, a file each, kept so that it need not start them
/// again. Whether one still holds libvirt decides itself: it writes down the binary's and its own
/// time of change, the kernel, the microcode and whether KVM can be used. Nothing here throws or is
/// told: without a cache a check takes longer, and that is all.
class CapabilitiesCache {
  public:
    /// `directory` as choose_cache() has it. Not used when others could change what is in it.
    explicit CapabilitiesCache(std::filesystem::path directory)
        : directory_(std::move(directory)) {}

    /// Puts what is kept below `run`, libvirt's root, before libvirt is started.
    void lend(const std::filesystem::path& run) const noexcept;
    /// Keeps what libvirt has left there, once it has ended.
    void keep(const std::filesystem::path& run) const noexcept;

  private:
    std::filesystem::path directory_;
};

} // namespace kata_vfio::cli
