// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime-plugin/abi/kata_vfio.h"

#include <filesystem>
#include <functional>
#include <string>

namespace kata_vfio::cli {

/// Which library to load, the first of:
///   1. `env` (KATA_VFIO_PLUGIN) if it is set and not empty, whether it exists or not;
///   2. beside the executable in `exe_dir`: ../lib/libkata_vfio.so.1, ../lib/libkata_vfio.so (the
///      build tree), the same in ../LIBDIR (installed, e.g. ../lib/x86_64-linux-gnu);
///   3. "libkata_vfio.so.1", which the dynamic linker looks for.
/// `exists` asks the file system. Pure apart from that.
std::string choose_library(const char* env, const std::filesystem::path& exe_dir,
                           const std::string& libdir,
                           const std::function<bool(const std::filesystem::path&)>& exists);

/// Loads the plugin for the life of the process, and returns its table. Throws Failure: host_io
/// (not found, or the dynamic linker refused), abi_mismatch.
const kata_vfio_entry_t* load_plugin();

} // namespace kata_vfio::cli
