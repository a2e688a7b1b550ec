// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime-plugin/cli/check/host_facts.hpp"

#include <ostream>
#include <string>
#include <string_view>
#include <vector>

namespace kata_vfio::cli {

enum class Verdict { pass, fail, unknown };
std::string_view name(Verdict verdict) noexcept;
std::ostream& operator<<(std::ostream& out, Verdict verdict);

enum class Needs { both, gvt_d, gvt_g };

/// One thing GVT-d or GVT-g needs of the host, and whether it is so.
struct Requirement {
    std::string id;    ///< stable, e.g. "kernel_option.CONFIG_VFIO"
    std::string title; ///< "CONFIG_VFIO"
    Needs needed_by = Needs::both;
    /// False: a failure does not keep the mode from being ready, `detail` says why.
    bool required = true;
    Verdict verdict = Verdict::unknown;
    std::string detail; ///< what was found, and where
    std::string fix;    ///< what to do; "" when it passes
};

/// Makes a failed line one that keeps nothing from being ready.
void not_needed(Requirement& line, std::string_view because);
/// The reason for i915's own lines where offers_vgpus() is true.
inline constexpr std::string_view other_means = "a device of another driver offers vGPUs";

/// Of a line about i915, which did not pass: needed by nobody where another device offers vGPUs,
/// and not applicable where no Intel GPU is. GVT-g is of Intel's processor graphics alone.
void spare_i915(const HostFacts& facts, Requirement& line);
/// Why nothing of i915's GVT-g applies to the host; "" when it may.
std::string why_no_i915(const HostFacts& facts);

/// What to do about something that `option` of the kernel makes: modprobe finds nothing of what was
/// not built. Otherwise `fix`.
std::string fix_unless_off(const HostFacts& facts, const char* option, std::string fix);

// The rules, one group each, in the order they are shown. Pure.
std::vector<Requirement> hardware_requirements(const HostFacts& facts);
std::vector<Requirement> kernel_option_requirements(const HostFacts& facts);
std::vector<Requirement> boot_requirements(const HostFacts& facts);
std::vector<Requirement> module_requirements(const HostFacts& facts);
std::vector<Requirement> device_requirements(const HostFacts& facts);

std::vector<Requirement> evaluate(const HostFacts& facts);

/// Whether nothing that the mode requires has failed. `mode` is gvt_d or gvt_g.
bool ready(const std::vector<Requirement>& requirements, Needs mode);

} // namespace kata_vfio::cli
