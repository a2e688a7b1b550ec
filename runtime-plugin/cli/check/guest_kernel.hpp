// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime-plugin/cli/arguments.hpp"
#include "runtime-plugin/cli/check/kernel_config.hpp"
#include "runtime-plugin/cli/check/kernel_image.hpp"
#include "runtime-plugin/cli/check/requirement.hpp"
#include "runtime-plugin/cli/io.hpp"

#include <boost/json/object.hpp>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace kata_vfio::cli {

/// A kernel that is to run in sandboxes, as far as its file, and the config-VERSION beside it,
/// tell.
struct GuestKernel {
    std::string file;
    std::optional<KernelImage> image; ///< none when the file is a .config
    std::optional<KernelConfig> config;
    std::string config_source; ///< where `config` is from, or why there is none
};

/// Reads an image (bzImage or ELF) or a .config (plain or gzipped). A configuration inside the
/// image comes first, then `config-NAME` beside it, NAME being the image's behind "vmlinuz-" or
/// "vmlinux-" (links followed) or the image's own release. Throws Failure(host_io) naming the file.
GuestKernel read_guest_kernel(const std::filesystem::path& file);

/// Whether it can serve a sandbox with a GPU on machine `pc`, a line for each thing; needed_by is
/// Needs::both throughout. Pure.
std::vector<Requirement> guest_kernel_requirements(const GuestKernel& kernel);

/// Whether nothing that is required has failed, and something could be told at all.
bool serves(const std::vector<Requirement>& lines);

/// docs/json.md "check --guest-kernel"
boost::json::object guest_kernel_json(const GuestKernel& kernel,
                                      const std::vector<Requirement>& lines);

/// The verb `check --guest-kernel`: 0 when the kernel can serve, else 4.
int check_guest_kernel(const Arguments& arguments, Io& io);

} // namespace kata_vfio::cli
