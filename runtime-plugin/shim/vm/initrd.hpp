// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace kata_vfio::shim {

/// The content of a file in the archive that an initial ramdisk is, as qemu/guest-image makes it:
/// cpio of the new format, not compressed; "" when it has none of that name, is anything else, or
/// can't be read. `name` without a slash before it. At most 4 KiB of the content.
std::string file_in_initrd(const std::filesystem::path& initrd, std::string_view name);

/// Whether its agent can be reached by vsock: its file "transports" has that word.
bool initrd_has_vsock(const std::filesystem::path& initrd);

} // namespace kata_vfio::shim
