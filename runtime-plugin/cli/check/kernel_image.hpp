// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace kata_vfio::cli {

/// What a kernel image says about itself. Sources: kernel Documentation/x86/boot.rst (bzImage:
/// "HdrS" at 0x202, version string, payload), elf(5), xen include/public/elfnote.h (the PVH note),
/// kernel/configs.c (the .config, gzipped behind "IKCFG_ST" in an image with CONFIG_IKCONFIG).
struct KernelImage {
    enum class Kind { bzimage, elf };

    Kind kind = Kind::bzimage;
    std::string version; ///< "6.1.0-56-amd64 (...) #1 SMP ..."; "" when the image does not tell
    bool x86_64 = false;
    std::optional<bool> pvh;           ///< whether it has the PVH note; none: can't be looked at
    std::optional<std::string> config; ///< the .config inside it
    std::string config_missing;        ///< why there is none
};

/// Takes an image apart; a gzipped payload of a bzImage is looked into, one of another compression
/// is not. Pure. Throws Failure(host_io) for bytes that are no x86 kernel image or are cut short.
KernelImage parse_kernel_image(std::string_view bytes);

} // namespace kata_vfio::cli
