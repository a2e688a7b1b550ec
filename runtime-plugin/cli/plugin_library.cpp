// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/cli/plugin_library.hpp"

#include "config/base/failure.hpp"
#include "vfio/host_root.hpp"

#include <dlfcn.h>

#include <cstdlib>

namespace kata_vfio::cli {
namespace fs = std::filesystem;
namespace {

constexpr auto soname = "libkata_vfio.so.1";

Failure cant_load(const std::string& library) {
    const char* words = ::dlerror();
    return Failure(Errc::host_io, "can't load the plugin " + library)
        .said(words ? words : "")
        .remedy("install libkata_vfio.so beside this command (../lib), or name it in "
                "KATA_VFIO_PLUGIN");
}

} // namespace

std::string choose_library(const char* env, const fs::path& exe_dir, const std::string& libdir,
                           const std::function<bool(const fs::path&)>& exists) {
    if (env && *env)
        return env;
    const auto prefix = exe_dir.parent_path();
    for (const auto& directory : {prefix / "lib", prefix / libdir})
        for (const auto* name : {soname, "libkata_vfio.so"})
            if (exists(directory / name))
                return (directory / name).string();
    return soname;
}

const kata_vfio_entry_t* load_plugin() {
    // The command's own process, not the host under --root.
    std::error_code ec;
    const auto exe = fs::read_symlink(vfio::HostRoot().proc("self/exe"), ec);
    const auto library = choose_library(::secure_getenv("KATA_VFIO_PLUGIN"), exe.parent_path(),
                                        KATA_VFIO_LIBDIR, [](const fs::path& path) {
                                            std::error_code ignored;
                                            return fs::exists(path, ignored);
                                        });
    void* handle = ::dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!handle)
        throw cant_load(library);
    const auto* entry =
        static_cast<const kata_vfio_entry_t*>(::dlsym(handle, KATA_VFIO_ENTRY_SYMBOL));
    if (!entry)
        throw cant_load(library);
    if (!kata_vfio_compatible(entry))
        throw Failure(Errc::abi_mismatch,
                      library + " speaks C ABI " + std::to_string(entry->abi_major) + "." +
                          std::to_string(entry->abi_minor) + ", this command needs " +
                          std::to_string(KATA_VFIO_ABI_MAJOR) + "." +
                          std::to_string(KATA_VFIO_ABI_MINOR))
            .remedy("install the command and the plugin of one version");
    return entry;
}

} // namespace kata_vfio::cli
