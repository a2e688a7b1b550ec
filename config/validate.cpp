// SPDX-License-Identifier: Apache-2.0
#include "config/validate.hpp"

#include "config/base/text.hpp"
#include "config/uid_range.hpp"
#include "config/vgpu_size.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>

namespace kata_vfio::config {
namespace {

constexpr std::string_view only_pc =
    "only the pc machine's root bus pci.0 takes hot-plugged devices";

std::string_view short_name(std::string_view dotted) {
    return dotted.substr(dotted.rfind('.') + 1);
}

/// A finding about the value of a key, at its place.
Finding finding(const Configuration& c, Errc code, std::string_view dotted, std::string text,
                std::string remedy) {
    return {code, std::string(short_name(dotted)), c.position(dotted), std::move(text),
            std::move(remedy)};
}

constexpr std::string_view root_bus = "hypervisor.qemu.hotplug_vfio_on_root_bus";

Finding root_bus_finding(const Configuration& c, Position at, std::string text,
                         std::string remedy) {
    auto found = finding(c, Errc::root_bus_off, root_bus, std::move(text), std::move(remedy));
    found.at = std::move(at);
    return found;
}

/// The root-bus option is false because no file sets it: what was written instead?
Finding root_bus_unset(const Configuration& c) {
    const std::string file = c.files.empty() ? "configuration.toml" : c.files.front().string();
    for (const auto& unknown : c.unknown) {
        const bool table = std::string(root_bus).starts_with(unknown.meant + ".");
        if (unknown.meant != root_bus && (unknown.meant.empty() || !table))
            continue;
        return root_bus_finding(
            c, unknown.at,
            "is not set: the file has " +
                kata_vfio::quoted(table ? "[" + unknown.key + "]" : unknown.key) + " instead",
            table ? "write the table as [" + unknown.meant + "]"
                  : "write hotplug_vfio_on_root_bus = true in [hypervisor.qemu]");
    }
    if (c.commented_root_bus)
        return root_bus_finding(
            c, *c.commented_root_bus,
            "is commented out, and without it devices go behind a bridge, where "
            "large BARs find no place",
            "run kata-vfio config enable " + file + ", or take the # away and set it to true");
    return root_bus_finding(c, {file, 0, 0},
                            "is missing, and without it devices go behind a bridge, where large "
                            "BARs find no place",
                            "run kata-vfio config enable " + file +
                                ", or write hotplug_vfio_on_root_bus = true in [hypervisor.qemu]");
}

} // namespace

Failure Finding::failure() const {
    const auto place = at.str();
    Failure failure(code, place + (place.empty() || key.empty() ? "" : " ") + key + ": " + text);
    if (!remedy.empty())
        failure.remedy(remedy);
    return failure;
}

bool is_pc_machine(std::string_view machine_type) noexcept {
    constexpr std::string_view versioned = "pc-i440fx-";
    if (machine_type == "pc")
        return true;
    if (!machine_type.starts_with(versioned) || machine_type.size() == versioned.size())
        return false;
    // Distributions name theirs pc-i440fx-jammy, -rhel7.6.0, ...; a comma would begin an option.
    return std::ranges::all_of(machine_type.substr(versioned.size()), [](unsigned char c) {
        return std::isalnum(c) || c == '.' || c == '_' || c == '-' || c == '+';
    });
}

std::optional<Finding> machine_type_is_pc(const Configuration& c) {
    const auto& type = c.hypervisor.machine_type;
    if (is_pc_machine(type))
        return std::nullopt;
    std::string text = "\"" + type + "\" can't be used: ";
    if (kata_vfio::quoted(type) != "'" + type + "'")
        text = kata_vfio::quoted(type) + " can't be used: ";
    text += only_pc;
    std::string remedy = "write machine_type = \"pc\" in [hypervisor.qemu]";
    if (type.find("q35") != std::string::npos) {
        text += " (q35's pcie.0 refuses them: \"Bus 'pcie.0' does not support hotplugging\")";
        remedy += "; the guest's PCI topology changes with it: adapt network names and disk paths "
                  "in the guest, and drives on q35's own AHCI";
    }
    return finding(c, Errc::machine_refused, "hypervisor.qemu.machine_type", std::move(text),
                   std::move(remedy));
}

std::optional<Finding> accelerators_keep_the_machine(const Configuration& c) {
    for (const auto option : split(c.hypervisor.machine_accelerators, ',')) {
        const auto word = trim(option);
        if (word != "type" && !word.starts_with("type="))
            continue;
        return finding(c, Errc::machine_refused, "hypervisor.qemu.machine_accelerators",
                       kata_vfio::quoted(word) +
                           " would replace machine_type on QEMU's command line, and " +
                           std::string(only_pc),
                       "take it out");
    }
    return std::nullopt;
}

std::optional<Finding> root_bus_is_on(const Configuration& c) {
    if (c.hypervisor.hotplug_vfio_on_root_bus)
        return std::nullopt;
    const auto origin = c.where.find(root_bus);
    if (origin == c.where.end())
        return root_bus_unset(c);
    const auto& [at, overridden] = origin->second;
    if (!overridden.empty())
        return root_bus_finding(
            c, at, "is false: this drop-in turns it off, over " + overridden.back().str(),
            "set it to true there, or take the line out of the drop-in");
    return root_bus_finding(
        c, at, "is false, so devices would go behind a bridge, where large BARs find no place",
        "run kata-vfio config enable " + at.file + ", or set it to true");
}

std::optional<Finding> one_root_filesystem(const Configuration& c) {
    if (c.hypervisor.image.empty() || c.hypervisor.initrd.empty())
        return std::nullopt;
    return finding(c, Errc::config_invalid, "hypervisor.qemu.initrd",
                   "is set, and so is image (" + c.position("hypervisor.qemu.image").str() +
                       "): a guest has one root filesystem",
                   "take one of the two out");
}

std::optional<Finding> viommu_is_off(const Configuration& c) {
    if (!c.hypervisor.enable_iommu)
        return std::nullopt;
    return finding(c, Errc::config_invalid, "hypervisor.qemu.enable_iommu",
                   "is true: a virtual IOMMU exists with q35 only, and " + std::string(only_pc),
                   "set it to false");
}

std::optional<Finding> kernel_params_fit(const Configuration& c) {
    constexpr std::size_t longest = 2047; // COMMAND_LINE_SIZE of x86 less the closing zero
    constexpr auto key = "hypervisor.qemu.kernel_params";
    const auto& text = c.hypervisor.kernel_params;
    if (text.size() > longest)
        return finding(c, Errc::config_invalid, key,
                       "has " + std::to_string(text.size()) +
                           " bytes: the guest kernel cuts its command line after " +
                           std::to_string(longest),
                       "shorten it");
    const auto control =
        std::ranges::find_if(text, [](unsigned char byte) { return byte < 0x20 || byte == 0x7f; });
    if (control != text.end())
        return finding(c, Errc::config_invalid, key,
                       "holds a line break or another control character (byte " +
                           std::to_string(control - text.begin() + 1) + ")",
                       "write all parameters in one line, with spaces between them");
    return std::nullopt;
}

std::optional<Finding> extra_monitor_is_for_debugging(const Configuration& c) {
    if (c.hypervisor.extra_monitor_socket.empty() || c.hypervisor.enable_debug)
        return std::nullopt;
    return finding(c, Errc::config_invalid, "hypervisor.qemu.extra_monitor_socket",
                   "needs enable_debug = true: whoever can open that socket rules the sandbox",
                   "set it to \"\", or enable_debug to true");
}

std::optional<Finding> state_dir_is_usable(const Configuration& c) {
    constexpr auto key = "vfio.state_dir";
    // The sandboxes' QMP sockets lie below it, and sun_path takes 107 bytes.
    constexpr std::size_t longest = 64;
    const std::filesystem::path path(c.vfio.state_dir);
    const auto refuse = [&](std::string text) {
        return finding(c, Errc::config_invalid, key,
                       kata_vfio::quoted(c.vfio.state_dir) + " " + std::move(text),
                       "name an absolute directory such as /run/kata-vfio");
    };
    if (!path.is_absolute())
        return refuse("is not an absolute path");
    if (!path.has_relative_path())
        return refuse("is the root directory");
    if (std::ranges::any_of(path, [](const auto& part) { return part == "." || part == ".."; }))
        return refuse("must not have \".\" or \"..\" in it");
    if (path.native().size() > longest)
        return refuse("is longer than " + std::to_string(longest) +
                      " bytes, which leaves no room for a socket's path (107 bytes)");
    return std::nullopt;
}

std::optional<Finding> resend_is_within_unplug(const Configuration& c) {
    const auto& times = c.vfio.timeouts;
    if (times.unplug_resend < times.unplug)
        return std::nullopt;
    auto found = finding(
        c, Errc::config_invalid, "vfio.timeouts.unplug_resend",
        "is " + std::to_string(times.unplug_resend.count()) + " ms, not below unplug, which is " +
            std::to_string(times.unplug.count()) + " ms: device_del would never be repeated",
        "make it smaller, or unplug larger");
    // The default of one may be broken by the other.
    if (found.at.line == 0)
        found.at = c.position("vfio.timeouts.unplug");
    return found;
}

std::optional<Finding> redactions_name_members(const Configuration& c) {
    for (const auto& entry : c.vfio.qmp_log_redact) {
        const auto steps = split(entry, '.');
        if (std::ranges::none_of(steps, [](auto step) { return trim(step).empty(); }))
            continue;
        // It would match nothing, and what it was to hide would be in the log.
        return finding(c, Errc::config_invalid, "vfio.qmp_log_redact",
                       kata_vfio::quoted(entry) + " names no member of a message",
                       "write a member's name, or names with a dot between them");
    }
    return std::nullopt;
}

std::optional<Finding> vgpu_is_whole(const Configuration& c) {
    const auto& vgpu = c.vfio.vgpu;
    const auto refuse = [&](const char* key, std::string text, std::string remedy) {
        return finding(c, Errc::config_invalid, key, std::move(text), std::move(remedy));
    };
    // They become parts of one request: what separates those there would let one annotation say
    // what another is enabled for.
    const auto names = {std::pair("vfio.vgpu.type", &vgpu.type),
                        std::pair("vfio.vgpu.parent", &vgpu.parent)};
    for (const auto& [key, name] : names)
        if (name->find_first_of(",=@/") != std::string::npos)
            return refuse(key, kata_vfio::quoted(*name) + " can't be a name: it has one of , = @ /",
                          "write it as kata-vfio types shows it");
    const auto sizes = {std::pair("vfio.vgpu.low_gm", &vgpu.low_gm),
                        std::pair("vfio.vgpu.high_gm", &vgpu.high_gm)};
    for (const auto& [key, size] : sizes)
        if (!size->empty() && !megabytes(*size))
            return refuse(key, kata_vfio::quoted(*size) + " is no size",
                          "write a whole number of MB or GB, such as \"128MB\"");
    if (!vgpu.resolution.empty() && !parse_resolution(vgpu.resolution))
        return refuse("vfio.vgpu.resolution",
                      kata_vfio::quoted(vgpu.resolution) + " is no resolution",
                      "write it as \"1920x1200\"");
    if (vgpu.wanted() || (vgpu.parent.empty() && !vgpu.keep))
        return std::nullopt;
    return refuse(vgpu.parent.empty() ? "vfio.vgpu.keep" : "vfio.vgpu.parent",
                  "stands alone: which vGPU is wanted is not told",
                  "give vgpu_type (type in [vfio.vgpu]) or what it must have at least, or take it "
                  "out");
}

std::optional<Finding> rootless_uids_are_a_range(const Configuration& c) {
    if (parse_uid_range(c.vfio.rootless_uids))
        return std::nullopt;
    return finding(c, Errc::config_invalid, "vfio.rootless_uids",
                   kata_vfio::quoted(c.vfio.rootless_uids) + " is no range of user ids",
                   "write it as \"FIRST-LAST\", without 0, such as \"1879048192-1879113727\"");
}

std::optional<Finding> queue_size_is_a_power(const Configuration& c) {
    const auto size = c.hypervisor.virtio_fs_queue_size;
    if ((size & (size - 1)) == 0)
        return std::nullopt;
    return finding(c, Errc::config_invalid, "hypervisor.qemu.virtio_fs_queue_size",
                   "is " + std::to_string(size) + ", and a virtio queue has 2, 4, 8, ... places",
                   "write a power of two");
}

std::optional<Finding> share_stays_the_share(const Configuration& c) {
    constexpr auto ours = std::to_array<std::string_view>(
        {"--fd", "--socket", "--socket-path", "--shared-dir", "--daemonize"});
    for (const auto& word : c.hypervisor.virtio_fs_extra_args) {
        bool taken =
            std::ranges::find(ours, std::string_view(word).substr(0, word.find('='))) != ours.end();
        // However it is written: behind an o of several letters (-fosource=), with an equals sign
        // (-o=source=), or with backslashes, which virtiofsd reads as nothing.
        auto plain = word;
        std::erase(plain, '\\');
        taken = taken || plain.find("source=") != plain.npos;
        if (taken)
            return finding(c, Errc::config_invalid, "hypervisor.qemu.virtio_fs_extra_args",
                           kata_vfio::quoted(word) +
                               " is decided for each sandbox: what is shared, and with whom",
                           "take it out");
    }
    return std::nullopt;
}

std::vector<Finding> validate(const Configuration& configuration) {
    constexpr auto rules = std::to_array(
        {machine_type_is_pc, accelerators_keep_the_machine, root_bus_is_on, one_root_filesystem,
         viommu_is_off, kernel_params_fit, extra_monitor_is_for_debugging, state_dir_is_usable,
         resend_is_within_unplug, redactions_name_members, vgpu_is_whole, rootless_uids_are_a_range,
         queue_size_is_a_power, share_stays_the_share});
    std::vector<Finding> findings;
    for (const auto rule : rules)
        if (auto found = rule(configuration))
            findings.push_back(std::move(*found));
    return findings;
}

std::vector<Finding> validate(const Inspected& inspected) {
    std::vector<Finding> findings;
    for (const auto& problem : inspected.problems)
        findings.push_back(
            {Errc::config_invalid, problem.key, problem.at, problem.text, problem.remedy});
    const auto unread = [](const Problem& problem) { return problem.key.empty(); };
    if (std::any_of(inspected.problems.begin(), inspected.problems.end(), unread))
        return findings;
    for (auto& broken : validate(inspected.configuration))
        if (std::none_of(inspected.problems.begin(), inspected.problems.end(),
                         [&](const Problem& problem) { return problem.key == broken.key; }))
            findings.push_back(std::move(broken));
    return findings;
}

void enforce(const Configuration& configuration) {
    const auto findings = validate(configuration);
    if (!findings.empty())
        throw findings.front().failure();
}

} // namespace kata_vfio::config
