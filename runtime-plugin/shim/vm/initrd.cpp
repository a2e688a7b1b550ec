// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/shim/vm/initrd.hpp"

#include "config/base/text.hpp"
#include "config/base/unique_fd.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <optional>

namespace kata_vfio::shim {
namespace {

// Linux's Documentation/driver-api/early-userspace/buffer-format.rst.
constexpr std::size_t cpio_header_size = 110;
constexpr std::size_t size_at = 6 + 6 * 8, name_size_at = 6 + 11 * 8;

std::string read_at(int fd, std::uint64_t offset, std::size_t size) {
    std::string bytes(size, '\0');
    const auto count = ::pread(fd, bytes.data(), size, static_cast<off_t>(offset));
    bytes.resize(count < 0 ? 0 : static_cast<std::size_t>(count));
    return bytes;
}

std::optional<std::uint32_t> hex(std::string_view header, std::size_t at) {
    std::uint32_t number = 0;
    const auto* end = header.data() + at + 8;
    const auto [last, error] = std::from_chars(header.data() + at, end, number, 16);
    return error == std::errc() && last == end ? std::optional(number) : std::nullopt;
}

} // namespace

std::string file_in_initrd(const std::filesystem::path& initrd, std::string_view name) {
    constexpr std::size_t most_entries = 10000, longest_name = 4096, longest_content = 4096;
    const UniqueFd fd(::open(initrd.c_str(), O_RDONLY | O_CLOEXEC));
    std::uint64_t at = 0;
    const auto aligned = [](std::uint64_t offset) { return (offset + 3) & ~std::uint64_t{3}; };
    for (std::size_t entry = 0; fd && entry < most_entries; ++entry) {
        const auto header = read_at(fd.get(), at, cpio_header_size);
        if (header.size() != cpio_header_size || !header.starts_with("07070"))
            break;
        const auto size = hex(header, size_at), name_size = hex(header, name_size_at);
        if (!size || !name_size || *name_size == 0 || *name_size > longest_name)
            break;
        // Its length counts the zero at its end.
        const auto stored = read_at(fd.get(), at + cpio_header_size, *name_size - 1);
        const auto content = aligned(at + cpio_header_size + *name_size);
        std::string_view found = stored;
        if (found.starts_with("./"))
            found.remove_prefix(2);
        if (found == name)
            return read_at(fd.get(), content, std::min<std::size_t>(*size, longest_content));
        if (found == "TRAILER!!!")
            break;
        at = aligned(content + *size);
    }
    return {};
}

bool initrd_has_vsock(const std::filesystem::path& initrd) {
    const auto transports = file_in_initrd(initrd, "transports");
    const auto lines = split(transports, '\n');
    return std::ranges::find(lines, std::string_view("vsock")) != lines.end();
}

} // namespace kata_vfio::shim
