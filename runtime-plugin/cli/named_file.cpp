// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/cli/named_file.hpp"

#include "config/base/failure.hpp"
#include "config/base/file.hpp"
#include "config/base/file_kind.hpp"

namespace kata_vfio::cli {
namespace fs = std::filesystem;

std::string read_named_file(const fs::path& file, std::string_view what, std::size_t limit,
                            const std::string& remedy) {
    if (kind_of_file(file) == "a directory")
        throw Failure(Errc::host_io, file.string() + " is a directory, not " + std::string(what))
            .remedy(remedy);
    try {
        if (auto bytes = read_file(file, limit))
            return std::move(*bytes);
    } catch (Failure& failure) {
        throw failure.remedy(failure.code() == Errc::permission_denied
                                 ? "run as root, or as a user who may read it"
                                 : remedy);
    }
    throw Failure(Errc::host_io, file.string() + " is not there").remedy(remedy);
}

void write_named_file(std::string_view option, const fs::path& file, std::string_view bytes,
                      mode_t mode) {
    const auto named = std::string(option);
    const auto kind = kind_of_file(file);
    if (!kind.empty() && kind != "a regular file")
        throw Failure(Errc::host_io,
                      file.string() + " is " + std::string(kind) + ", not a file to write")
            .remedy(kind == "a directory"
                        ? "name a file in it: " + named + " " + (file / "NAME").string()
                        : "name another: " + named + " OUT");
    try {
        write_atomically(file, bytes, mode);
    } catch (Failure& failure) {
        const auto folder = fs::absolute(file).parent_path();
        std::error_code ec;
        throw failure.remedy(fs::is_directory(folder, ec)
                                 ? "name a file in a folder that can be written to: " + named +
                                       " OUT"
                                 : "make the folder " + folder.string() +
                                       " first, or name a file in another: " + named + " OUT");
    }
}

} // namespace kata_vfio::cli
