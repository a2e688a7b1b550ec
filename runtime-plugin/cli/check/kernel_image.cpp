// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/cli/check/kernel_image.hpp"

#include "config/base/failure.hpp"
#include "runtime-plugin/cli/check/kernel_config.hpp"

#include <elf.h>

#include <array>
#include <cstdint>
#include <cstring>

namespace kata_vfio::cli {
namespace {

// vmlinux of a distribution's kernel is some 70 MB.
constexpr std::size_t most_unpacked = std::size_t{512} << 20;
constexpr std::uint32_t pvh_entry_note = 18; // XEN_ELFNOTE_PHYS32_ENTRY

/// A number or struct at an offset; the image is cut short when it does not reach that far. x86 is
/// little endian, and so is what this runs on.
template <class T>
T at(std::string_view bytes, std::size_t offset) {
    T value;
    if (offset > bytes.size() || bytes.size() - offset < sizeof value)
        throw Failure(Errc::host_io, "the kernel image is cut short");
    std::memcpy(&value, bytes.data() + offset, sizeof value);
    return value;
}

std::string_view part(std::string_view bytes, std::size_t offset, std::size_t length) {
    if (offset > bytes.size() || bytes.size() - offset < length)
        throw Failure(Errc::host_io, "the kernel image is cut short");
    return bytes.substr(offset, length);
}

Failure no_kernel() {
    return Failure(Errc::host_io,
                   "neither an x86 kernel image (bzImage, or ELF) nor a kernel's .config");
}

std::size_t padded(std::size_t length) {
    return (length + 3) & ~std::size_t{3};
}

bool has_pvh_note(std::string_view notes) {
    while (notes.size() >= sizeof(Elf64_Nhdr)) {
        const auto head = at<Elf64_Nhdr>(notes, 0);
        notes.remove_prefix(sizeof head);
        const auto name = part(notes, 0, head.n_namesz);
        if (head.n_type == pvh_entry_note && name == std::string_view("Xen\0", 4))
            return true;
        const auto length = padded(head.n_namesz) + padded(head.n_descsz);
        if (length > notes.size())
            return false;
        notes.remove_prefix(length);
    }
    return false;
}

void read_elf(std::string_view bytes, KernelImage& image) {
    const auto head = at<Elf64_Ehdr>(bytes, 0);
    image.x86_64 = head.e_ident[EI_CLASS] == ELFCLASS64 && head.e_machine == EM_X86_64;
    if (!image.x86_64)
        return;
    image.pvh = false;
    for (std::size_t i = 0; i < head.e_phnum; ++i) {
        const auto segment = at<Elf64_Phdr>(bytes, head.e_phoff + i * sizeof(Elf64_Phdr));
        const auto content = part(bytes, segment.p_offset, segment.p_filesz);
        if (segment.p_type == PT_INTERP) // an ordinary program: no kernel is run by ld.so
            throw no_kernel();
        if (segment.p_type == PT_NOTE && has_pvh_note(content))
            image.pvh = true;
    }
    const auto mark = bytes.find("IKCFG_ST\x1f\x8b");
    if (mark == std::string_view::npos) {
        image.config_missing = "it was built without CONFIG_IKCONFIG";
        return;
    }
    image.config = gunzip(bytes.substr(mark + 8));
}

std::string_view compression(std::string_view payload) {
    using namespace std::string_view_literals;
    struct Magic {
        std::string_view bytes, name;
    };
    static constexpr std::array magics{
        Magic{"\x1f\x8b"sv, "gzip"},
        Magic{"\xfd"
              "7zXZ\0"sv,
              "xz"},
        Magic{"BZh"sv, "bzip2"},
        Magic{"\x5d\0\0"sv, "lzma"},
        Magic{"\x89LZO"sv, "lzo"},
        Magic{"\x02\x21\x4c\x18"sv, "lz4"},
        Magic{"\x28\xb5\x2f\xfd"sv, "zstd"},
    };
    for (const auto& magic : magics)
        if (payload.starts_with(magic.bytes))
            return magic.name;
    return "unknown means";
}

void read_bzimage(std::string_view bytes, KernelImage& image) {
    const auto protocol = at<std::uint16_t>(bytes, 0x206);
    if (const auto version = at<std::uint16_t>(bytes, 0x20e); version != 0) {
        const auto text = bytes.substr(std::min<std::size_t>(version + 0x200u, bytes.size()), 200);
        image.version = text.substr(0, text.find('\0'));
    }
    // xloadflags, bit 0: it has the 64-bit entry point. Both fields since protocol 2.12.
    image.x86_64 = protocol >= 0x20c && (at<std::uint16_t>(bytes, 0x236) & 1) != 0;
    if (protocol < 0x20c) {
        image.config_missing = "its boot protocol is older than 2.12";
        return;
    }
    const std::size_t sectors = at<std::uint8_t>(bytes, 0x1f1);
    const auto begin = ((sectors == 0 ? 4 : sectors) + 1) * 512;
    const auto payload =
        part(bytes, begin + at<std::uint32_t>(bytes, 0x248), at<std::uint32_t>(bytes, 0x24c));
    const auto packed_with = compression(payload);
    if (packed_with != "gzip") {
        image.config_missing =
            "it is compressed with " + std::string(packed_with) + ", which is not looked into";
        return;
    }
    const auto unpacked = gunzip(payload, most_unpacked);
    if (!unpacked.starts_with(ELFMAG))
        throw Failure(Errc::host_io, "what is compressed in the kernel image is no ELF file");
    read_elf(unpacked, image);
}

} // namespace

KernelImage parse_kernel_image(std::string_view bytes) {
    KernelImage image;
    if (bytes.starts_with(ELFMAG)) {
        image.kind = KernelImage::Kind::elf;
        read_elf(bytes, image);
    } else if (bytes.size() > 0x206 && bytes.substr(0x202, 4) == "HdrS") {
        read_bzimage(bytes, image);
    } else {
        throw no_kernel();
    }
    return image;
}

} // namespace kata_vfio::cli
