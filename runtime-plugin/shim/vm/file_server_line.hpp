// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/schema.hpp"

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kata_vfio::shim {

/// The two programs called virtiofsd, whose options differ.
enum class FileServerKind {
    c,    ///< of QEMU 5 to 7 (Debian 12: qemu-system-common)
    rust, ///< of the project virtio-fs (later Debians: virtiofsd; Kata)
};

/// By the answer to --version: "virtiofsd version 7.2.22 (Debian ...)" is C's, "virtiofsd 1.13.2"
/// and "virtiofsd backend 1.4.0" are Rust's; nullopt: it is neither. Pure.
std::optional<FileServerKind> file_server_kind(std::string_view version);

/// Its arguments, the program first. `listener`: a listening socket it is given. Throws
/// Failure(config_invalid) for a virtio_fs_cache that this kind does not have. Pure.
std::vector<std::string> file_server_line(FileServerKind kind, const config::Hypervisor& hypervisor,
                                          int listener, const std::filesystem::path& share);

} // namespace kata_vfio::shim
