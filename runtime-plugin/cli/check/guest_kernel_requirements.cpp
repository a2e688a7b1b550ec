// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/cli/check/guest_kernel.hpp"

#include "config/base/text.hpp"

#include <algorithm>

namespace kata_vfio::cli {
namespace {

using State = KernelConfig::State;

/// A thing the guest has to do, and the options that make it: one of them is enough where there are
/// alternatives.
struct Wanted {
    const char* title;
    std::vector<const char*> options;
    bool required;
    const char* without; ///< what does not work then
};

// In the order of a sandbox's life. A guest image of Kata's has no modules, so `=m` is not enough.
const std::vector<Wanted>& wanted() {
    static const std::vector<Wanted> rows{
        {"64 bit", {"CONFIG_X86_64"}, true, "Kata's agent is a 64-bit program"},
        {"init from an initrd",
         {"CONFIG_BLK_DEV_INITRD"},
         false,
         "no `initrd` in configuration.toml"},
        {"init from an image",
         {"CONFIG_VIRTIO_BLK", "CONFIG_SCSI_VIRTIO"},
         false,
         "no `image` in configuration.toml"},
        {"console",
         {"CONFIG_SERIAL_8250_CONSOLE", "CONFIG_VIRTIO_CONSOLE"},
         false,
         "the guest's messages are not seen"},
        {"devices in /dev", {"CONFIG_DEVTMPFS"}, true, "no /dev/dri in the guest"},
        {"tmpfs", {"CONFIG_TMPFS"}, true, "the agent can't set up a container"},
        {"namespaces", {"CONFIG_NAMESPACES"}, true, "the agent can't set up a container"},
        {"cgroups", {"CONFIG_CGROUPS"}, true, "the agent can't set up a container"},
        {"overlay", {"CONFIG_OVERLAY_FS"}, false, "no layers put together in the guest"},
        {"PCI", {"CONFIG_PCI"}, true, "machine pc has only PCI devices"},
        {"virtio over PCI", {"CONFIG_VIRTIO_PCI"}, true, "none of Kata's devices is seen"},
        {"agent's channel",
         {"CONFIG_VIRTIO_VSOCKETS", "CONFIG_VIRTIO_CONSOLE"},
         true,
         "the runtime can't talk to the agent"},
        {"shared file system",
         {"CONFIG_VIRTIO_FS", "CONFIG_9P_FS"},
         true,
         "a container's files don't reach the guest"},
        {"network", {"CONFIG_VIRTIO_NET"}, true, "the container has no network"},
        {"ACPI", {"CONFIG_ACPI"}, true, "machine pc announces hot-plugged devices through it"},
        {"PCI hot-plug",
         {"CONFIG_HOTPLUG_PCI_ACPI"},
         true,
         "the guest never sees a device_add, and device_del never ends"},
        {"DRM", {"CONFIG_DRM"}, true, "no /dev/dri in the guest"},
        {"Intel GPU's driver", {"CONFIG_DRM_I915"}, true, "no /dev/dri for an Intel GPU or vGPU"},
        {"i915 userptr", {"CONFIG_DRM_I915_USERPTR"}, true, "OpenCL and media drivers fail"},
        {"lab's GPU driver",
         {"CONFIG_DRM_BOCHS"},
         false,
         "no /dev/dri for the stand-in GPU of the lab"},
        {"VFIO in the guest",
         {"CONFIG_VFIO_PCI"},
         false,
         "no devices for user space drivers in the container"},
    };
    return rows;
}

Requirement judge(const Wanted& row, const GuestKernel& kernel) {
    std::vector<std::string> names(row.options.begin(), row.options.end());
    Requirement line{std::string("guest_kernel.") + row.options.front(),
                     row.title,
                     Needs::both,
                     row.required,
                     Verdict::unknown,
                     kernel.config_source,
                     {}};
    if (!kernel.config) {
        line.fix = "name its .config: kata-vfio check --guest-kernel CONFIG";
        return line;
    }
    std::string module;
    for (const auto& name : names) {
        const auto state = kernel.config->state(name);
        if (state == State::builtin) {
            line.verdict = Verdict::pass;
            line.detail = name + "=y";
            return line;
        }
        if (state == State::module && module.empty())
            module = name;
    }
    line.verdict = Verdict::fail;
    line.detail = !module.empty() ? module + "=m: a module, and Kata's guest image brings none"
                                  : join_words(names, " and ") +
                                        (names.size() > 1 ? " are" : " is") + " not set";
    line.detail += std::string(row.required ? " (" : " (not needed; ") + row.without + ")";
    line.fix = "build the kernel with " + (module.empty() ? names.front() : module) + "=y";
    return line;
}

/// The kernel is asked itself where it can be; the configuration only says what was wanted.
Requirement pvh(const GuestKernel& kernel) {
    Requirement line{"guest_kernel.CONFIG_PVH", "PVH entry", Needs::both, false,
                     Verdict::unknown,          "",          {}};
    const bool elf = kernel.image && kernel.image->kind == KernelImage::Kind::elf;
    const auto without = " (QEMU can't start vmlinux; vmlinuz starts without it)";
    // QEMU enters an ELF file of 64 bit through PVH or not at all.
    line.required = elf;
    if (kernel.image && kernel.image->pvh) {
        line.verdict = *kernel.image->pvh ? Verdict::pass : Verdict::fail;
        line.detail = *kernel.image->pvh ? "the image has the PVH note"
                                         : std::string("the image has no PVH note") + without;
    } else if (kernel.config) {
        const bool on = kernel.config->state("CONFIG_PVH") == State::builtin;
        line.verdict = on ? Verdict::pass : Verdict::fail;
        line.detail =
            on ? std::string("CONFIG_PVH=y") : std::string("CONFIG_PVH is not set") + without;
    } else {
        line.detail = kernel.config_source;
    }
    if (line.verdict == Verdict::fail)
        line.fix = "build the kernel with CONFIG_PVH=y";
    return line;
}

} // namespace

std::vector<Requirement> guest_kernel_requirements(const GuestKernel& kernel) {
    std::vector<Requirement> lines;
    for (const auto& row : wanted())
        lines.push_back(judge(row, kernel));
    if (kernel.image) {
        auto& bits = lines.front();
        bits.verdict = kernel.image->x86_64 ? Verdict::pass : Verdict::fail;
        bits.detail =
            kernel.image->x86_64 ? "the image is for x86_64" : "the image is not for x86_64";
        bits.fix = kernel.image->x86_64 ? "" : "use a kernel for x86_64";
    }
    lines.insert(lines.begin() + 1, pvh(kernel));
    return lines;
}

bool serves(const std::vector<Requirement>& lines) {
    const auto required = [](const Requirement& line, Verdict verdict) {
        return line.required && line.verdict == verdict;
    };
    // Nothing known about the options is no yes.
    return std::none_of(lines.begin(), lines.end(), [&](const auto& line) {
        return required(line, Verdict::fail) || required(line, Verdict::unknown);
    });
}

} // namespace kata_vfio::cli
