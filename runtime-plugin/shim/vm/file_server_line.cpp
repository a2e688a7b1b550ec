// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/shim/vm/file_server_line.hpp"

#include "config/base/failure.hpp"
#include "config/base/text.hpp"

#include <algorithm>
#include <cctype>

namespace kata_vfio::shim {
namespace {

std::string_view option_name(std::string_view word) {
    return word.substr(0, word.find('='));
}

bool begins_with_number(std::string_view text) {
    return !text.empty() && std::isdigit(static_cast<unsigned char>(text.front())) != 0;
}

/// A comma ends a value of -o, and a backslash takes that from it.
std::string option_value(const std::string& value) {
    std::string out;
    for (const char c : value) {
        if (c == ',' || c == '\\')
            out.push_back('\\');
        out.push_back(c);
    }
    return out;
}

} // namespace

std::optional<FileServerKind> file_server_kind(std::string_view version) {
    constexpr std::string_view name = "virtiofsd ", in_c = "version ", in_rust = "backend ";
    const auto line = trim(version.substr(0, version.find('\n')));
    if (!line.starts_with(name))
        return std::nullopt;
    auto rest = line.substr(name.size());
    if (rest.starts_with(in_c) && begins_with_number(rest.substr(in_c.size())))
        return FileServerKind::c;
    if (rest.starts_with(in_rust))
        rest.remove_prefix(in_rust.size());
    return begins_with_number(rest) ? std::optional(FileServerKind::rust) : std::nullopt;
}

std::vector<std::string> file_server_line(FileServerKind kind, const config::Hypervisor& hypervisor,
                                          int listener, const std::filesystem::path& share) {
    // announce_submounts: each mount in the share has inode numbers of its own. -mknod: the shim
    // has not that capability itself.
    auto cache = hypervisor.virtio_fs_cache;
    const auto& extra = hypervisor.virtio_fs_extra_args;
    std::vector<std::string> words{hypervisor.virtio_fs_daemon, "--fd=" + std::to_string(listener)};
    if (kind == FileServerKind::c) {
        if (cache == "metadata")
            throw Failure(Errc::config_invalid, "virtio_fs_cache = \"metadata\" is not known to " +
                                                    hypervisor.virtio_fs_daemon +
                                                    ", the virtiofsd of QEMU")
                .remedy("name the one in Rust in [hypervisor.qemu] virtio_fs_daemon, or write "
                        "\"auto\", \"always\" or \"never\"");
        if (cache == "never")
            cache = "none";
        words.emplace_back("-o");
        words.push_back("source=" + option_value(share.native()) +
                        ",sandbox=namespace,xattr,announce_submounts,cache=" + cache +
                        ",modcaps=-mknod");
        // Of two options of one name it takes the later.
        words.insert(words.end(), extra.begin(), extra.end());
        return words;
    }
    if (cache == "none")
        cache = "never";
    words.push_back("--shared-dir=" + share.native());
    for (auto word :
         {std::string("--sandbox=namespace"), std::string("--xattr"),
          std::string("--announce-submounts"), "--cache=" + cache, std::string("--modcaps=-mknod")})
        // It refuses a second one of a name.
        if (std::ranges::none_of(extra, [&](const std::string& other) {
                return option_name(other) == option_name(word);
            }))
            words.push_back(std::move(word));
    words.insert(words.end(), extra.begin(), extra.end());
    return words;
}

} // namespace kata_vfio::shim
