// SPDX-License-Identifier: Apache-2.0
// Kernel images in miniature, for what looks into them.
#pragma once

#include <elf.h>
#include <zlib.h>

#include <cstring>
#include <stdexcept>
#include <string>

namespace kata_vfio::cli {

inline std::string gzip(const std::string& text) {
    z_stream stream{};
    if (::deflateInit2(&stream, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        throw std::runtime_error("deflateInit2");
    std::string packed(::deflateBound(&stream, text.size()) + 32, '\0');
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
    stream.avail_in = static_cast<uInt>(text.size());
    stream.next_out = reinterpret_cast<Bytef*>(packed.data());
    stream.avail_out = static_cast<uInt>(packed.size());
    if (::deflate(&stream, Z_FINISH) != Z_STREAM_END)
        throw std::runtime_error("deflate");
    packed.resize(stream.total_out);
    ::deflateEnd(&stream);
    return packed;
}

template <class T>
void put(std::string& bytes, std::size_t offset, T value) {
    std::memcpy(bytes.data() + offset, &value, sizeof value);
}

/// vmlinux: with the PVH note among others, and with CONFIG_IKCONFIG when `config` is not empty.
inline std::string elf_image(bool pvh, const std::string& config) {
    std::string notes(16, '\0');
    put(notes, 0, Elf64_Nhdr{4, 0, 6});
    std::memcpy(notes.data() + 12, "GNU", 4);
    if (pvh) {
        std::string note(24, '\0');
        put(note, 0, Elf64_Nhdr{4, 8, 18});
        std::memcpy(note.data() + 12, "Xen", 4);
        notes += note;
    }
    Elf64_Ehdr head{};
    std::memcpy(head.e_ident, ELFMAG, SELFMAG);
    head.e_ident[EI_CLASS] = ELFCLASS64;
    head.e_machine = EM_X86_64;
    head.e_phoff = sizeof head;
    head.e_phnum = 1;
    Elf64_Phdr segment{};
    segment.p_type = PT_NOTE;
    segment.p_offset = sizeof head + sizeof segment;
    segment.p_filesz = notes.size();
    std::string bytes(sizeof head + sizeof segment, '\0');
    put(bytes, 0, head);
    put(bytes, sizeof head, segment);
    bytes += notes;
    if (!config.empty())
        bytes += "IKCFG_ST" + gzip(config) + "IKCFG_ED";
    return bytes;
}

/// vmlinuz: `payload` is what is compressed already.
inline std::string bzimage(const std::string& payload, const std::string& version) {
    std::string bytes(1024, '\0');
    bytes[0x1f1] = 1;
    std::memcpy(bytes.data() + 0x202, "HdrS", 4);
    put<std::uint16_t>(bytes, 0x206, 0x20f);
    put<std::uint16_t>(bytes, 0x20e, 0x100);
    put<std::uint16_t>(bytes, 0x236, 1);
    put<std::uint32_t>(bytes, 0x248, 0);
    put<std::uint32_t>(bytes, 0x24c, static_cast<std::uint32_t>(payload.size()));
    std::memcpy(bytes.data() + 0x300, version.data(), version.size());
    return bytes + payload;
}

/// A configuration that can serve.
inline const std::string serving_config =
    "CONFIG_X86_64=y\nCONFIG_PVH=y\nCONFIG_BLK_DEV_INITRD=y\nCONFIG_VIRTIO_BLK=y\n"
    "CONFIG_SERIAL_8250_CONSOLE=y\nCONFIG_DEVTMPFS=y\nCONFIG_TMPFS=y\nCONFIG_NAMESPACES=y\n"
    "CONFIG_CGROUPS=y\nCONFIG_OVERLAY_FS=y\nCONFIG_PCI=y\nCONFIG_VIRTIO_PCI=y\n"
    "CONFIG_VIRTIO_VSOCKETS=y\nCONFIG_9P_FS=y\nCONFIG_VIRTIO_NET=y\nCONFIG_ACPI=y\n"
    "CONFIG_HOTPLUG_PCI_ACPI=y\nCONFIG_DRM=y\nCONFIG_DRM_I915=y\nCONFIG_DRM_I915_USERPTR=y\n";

} // namespace kata_vfio::cli
