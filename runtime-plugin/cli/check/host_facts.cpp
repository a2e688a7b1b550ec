// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/cli/check/host_facts.hpp"

#include "config/base/failure.hpp"
#include "config/base/file.hpp"
#include "config/base/text.hpp"
#include "mdev/mdev_type.hpp"
#include "vfio/iommu_group.hpp"
#include "vfio/pci_function.hpp"
#include "vfio/sysfs_read.hpp"

#include <algorithm>

namespace kata_vfio::cli {
namespace fs = std::filesystem;
namespace {

std::string underscored(std::string_view name) {
    std::string out(name);
    std::replace(out.begin(), out.end(), '-', '_');
    return out;
}

/// The file's text, or none when it is missing or may not be read.
std::optional<std::string> text_of(const fs::path& path) {
    try {
        return read_file(path);
    } catch (const Failure&) {
        return std::nullopt;
    }
}

void read_config(const vfio::HostRoot& root, HostFacts& facts) {
    const auto packed = root.proc("config.gz"), plain = root.boot("config-" + facts.release);
    facts.config_source = "neither " + root.told(packed).string() + " nor " +
                          root.told(plain).string() + " can be read";
    try {
        if (const auto bytes = text_of(packed)) {
            facts.config = KernelConfig::parse(gunzip(*bytes));
            facts.config_source = root.told(packed).string();
        } else if (const auto text = text_of(plain)) {
            facts.config = KernelConfig::parse(*text);
            facts.config_source = root.told(plain).string();
        }
    } catch (const Failure& failure) {
        facts.config_source = root.told(packed).string() + ": " + failure.what();
    }
}

void read_modules(const vfio::HostRoot& root, HostFacts& facts) {
    add_loaded_modules(facts.modules, text_of(root.proc("modules")).value_or(""));
    const auto builtin = root.lib("modules") / facts.release / "modules.builtin";
    add_builtin_modules(facts.modules, text_of(builtin).value_or(""));
    // A built-in module with parameters or a version shows here even where /lib/modules is not that
    // of the running kernel (containers). A loaded one does too.
    try {
        for (const auto& name : vfio::names_in(root.sys("module")))
            facts.modules.insert(name);
    } catch (const Failure&) {
        return; // /proc/modules has to do
    }
}

void read_gpus(const vfio::HostRoot& root, HostFacts& facts) {
    for (const auto& function : vfio::list_functions(root)) {
        if (!function.is_display())
            continue;
        HostFacts::Gpu gpu{function.address.text(),
                           function.ids(),
                           function.driver.value_or(""),
                           function.iommu_group,
                           {}};
        if (function.iommu_group) {
            const auto group = vfio::read_group(root, *function.iommu_group);
            for (const auto& blocker : vfio::viability_blockers(root, group, {function.address}))
                gpu.blockers.push_back(blocker.why);
        }
        facts.gpus.push_back(std::move(gpu));
    }
}

void read_parents(const vfio::HostRoot& root, HostFacts& facts) {
    for (const auto& parent : mdev::list_parents(root)) {
        const auto driver =
            parent.address ? vfio::current_driver(root, *parent.address) : std::nullopt;
        facts.parents.push_back({parent.name, driver.value_or(""), parent.types.size()});
    }
}

} // namespace

bool HostFacts::offers_vgpus() const {
    return std::any_of(parents.begin(), parents.end(),
                       [](const auto& parent) { return parent.types > 0; });
}

void add_loaded_modules(std::set<std::string, std::less<>>& modules,
                        std::string_view proc_modules) {
    for (const auto line : split(proc_modules, '\n'))
        if (const auto name = line.substr(0, line.find(' ')); !name.empty())
            modules.insert(underscored(name));
}

void add_builtin_modules(std::set<std::string, std::less<>>& modules, std::string_view builtin) {
    // kernel/drivers/vfio/vfio-pci.ko
    for (const auto line : split(builtin, '\n'))
        if (auto name = fs::path(trim(line)).stem().string(); !name.empty())
            modules.insert(underscored(name));
}

HostFacts read_host_facts(const vfio::HostRoot& root) {
    HostFacts facts;
    facts.release = vfio::attribute(root.proc("sys/kernel/osrelease")).value_or("");
    read_config(root, facts);
    if (const auto text = text_of(root.proc("cmdline")))
        facts.command_line = KernelCommandLine::parse(*text);
    facts.cpu = parse_cpuinfo(text_of(root.proc("cpuinfo")).value_or(""));
    read_modules(root, facts);
    std::error_code ec;
    facts.vfio_container = fs::exists(root.dev("vfio/vfio"), ec);
    facts.kvm = fs::exists(root.dev("kvm"), ec);
    facts.iommu_groups = vfio::list_groups(root).size();
    read_gpus(root, facts);
    read_parents(root, facts);
    if (const auto value = vfio::attribute(root.sys("module/i915/parameters/enable_gvt")))
        facts.gvt_parameter = *value == "Y" || *value == "1";
    return facts;
}

} // namespace kata_vfio::cli
