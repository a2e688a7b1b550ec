// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime-plugin/cli/check/cpu.hpp"
#include "runtime-plugin/cli/check/kernel_command_line.hpp"
#include "runtime-plugin/cli/check/kernel_config.hpp"
#include "vfio/host_root.hpp"

#include <optional>
#include <set>
#include <string>
#include <vector>

namespace kata_vfio::cli {

/// What `check` judges, as it was read. None of it needs root.
struct HostFacts {
    struct Gpu {
        std::string address, ids;
        std::string driver; ///< "" for none
        std::optional<int> iommu_group;
        std::vector<std::string> blockers; ///< "0000:00:1f.2 is bound to ahci"
    };
    struct Parent {
        std::string name;
        std::string driver; ///< "" when it is no PCI function, or has none
        std::size_t types = 0;
    };

    std::string release;                ///< uname -r
    std::optional<KernelConfig> config; ///< none: config_source says why
    std::string config_source;          ///< the file it is from
    std::optional<KernelCommandLine> command_line;
    Cpu cpu;
    std::set<std::string, std::less<>> modules; ///< loaded or built in, with '_'
    bool vfio_container = false;                ///< /dev/vfio/vfio
    bool kvm = false;                           ///< /dev/kvm
    std::size_t iommu_groups = 0;
    std::vector<Gpu> gpus;
    std::vector<Parent> parents;
    /// i915's parameter as it is now (/sys/module/i915/parameters/enable_gvt); none without i915.
    std::optional<bool> gvt_parameter;

    bool has_module(std::string_view name) const { return modules.contains(name); }
    /// A parent that offers vGPUs is there: GVT-g's means are proven, whatever they are.
    bool offers_vgpus() const;
};

/// Reads them all; what can't be read stays unknown. Throws nothing of the host's.
HostFacts read_host_facts(const vfio::HostRoot& root);

/// Module names out of /proc/modules and /lib/modules/RELEASE/modules.builtin, '-' as '_'.
void add_loaded_modules(std::set<std::string, std::less<>>& modules, std::string_view proc_modules);
void add_builtin_modules(std::set<std::string, std::less<>>& modules, std::string_view builtin);

} // namespace kata_vfio::cli
