// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "vfio/host_root.hpp"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace kata_vfio::shim {

/// A process by pid and start time, as it is kept in a file.
struct ProcessMark {
    std::int64_t pid = 0;
    std::uint64_t start = 0;
};

/// The one directory of a sandbox, root-only: RUN/kata-vfio/vm/KEY, where KEY is NAMESPACE__ID.
/// containerd's names have no two separators in a row, so no two sandboxes share a key.
///
///     shim.sock  shim.pid  qmp.sock  qemu.pid  qemu.log  configuration
///     virtiofsd.pid  virtiofsd.log   with virtio-fs
///     user  qemu/qmp.sock   of a rootless QEMU
///     mounts/    what the guest is to see, mounted here by the shim
///     shared/    the same, read-only at its top: what QEMU exports
class Place {
  public:
    /// Throws ttrpc::Error(invalid_argument) for a namespace or id that is no containerd name, or
    /// so long that a socket's path would be over the kernel's 107 bytes.
    Place(const vfio::HostRoot& root, const std::string& containerd_namespace,
          const std::string& sandbox_id);

    const std::string& key() const noexcept { return key_; }
    const std::filesystem::path& directory() const noexcept { return directory_; }
    std::filesystem::path at(const char* name) const { return directory_ / name; }
    std::filesystem::path socket() const { return at("shim.sock"); }
    std::filesystem::path monitor() const { return at("qmp.sock"); }
    /// Where a rootless QEMU makes its socket, before it is up.
    std::filesystem::path workplace() const { return at("qemu"); }
    std::filesystem::path mounts() const { return at("mounts"); }
    std::filesystem::path shared() const { return at("shared"); }

    /// With its parents; mode 0700. Throws Failure.
    void make() const;

    /// The workplace, its user's for as long as it is open. Throws Failure.
    void open_workplace(std::uint32_t user) const;
    /// Root's again, with the monitor in it. Throws Failure when that is not `user`'s socket.
    void close_workplace(std::uint32_t user) const;

    /// "shim.pid", "qemu.pid" and "virtiofsd.pid": the process, while it lives.
    std::optional<ProcessMark> living(const char* file) const;
    void remember(const char* file, std::int64_t pid) const;

    /// Unmounts what is below, and removes the directory. What can't be is logged and left. The
    /// guest has had its hands in what was mounted, so nothing is followed, and only the names that
    /// stand directly in mounts/ are removed.
    void remove() const;

  private:
    vfio::HostRoot root_;
    std::string key_;
    std::filesystem::path directory_;
};

/// Whether it is a name containerd takes for a namespace or an id (identifiers.Validate).
bool is_containerd_name(const std::string& text) noexcept;

} // namespace kata_vfio::shim
