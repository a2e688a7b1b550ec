// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace kata_vfio::cli {

/// The host's first CPU, from /proc/cpuinfo.
struct Cpu {
    std::string vendor;          ///< "GenuineIntel", "AuthenticAMD", ...
    std::string model;           ///< "Intel(R) Core(TM) i7-5500U CPU @ 2.40GHz"
    bool virtualization = false; ///< vmx or svm among the flags

    bool intel() const { return vendor == "GenuineIntel"; }
    bool amd() const { return vendor == "AuthenticAMD" || vendor == "HygonGenuine"; }
};

Cpu parse_cpuinfo(std::string_view text);

/// What the walkthrough asks of an Intel CPU's graphics, told by the model's name.
struct CpuGeneration {
    /// Core generation ("5" for Broadwell), also for the Xeons that share its graphics: E3 v4 is 5,
    /// E3 v6 is 7, E-2100 is 8, W-1200 is 10. Core Ultra is 14 and up.
    int number = 0;
    /// Ice Lake's i7-1065G7 and its like: of the 10th generation, but with graphics that i915's
    /// GVT-g does not know.
    bool ice_lake = false;
};

/// None for a name that doesn't tell, or of a CPU without processor graphics (Xeon E5, Gold, ...).
/// Source: Intel's processor numbering; Xeon E3 v2 to v6 are the 3rd to 7th generation.
std::optional<CpuGeneration> cpu_generation(std::string_view model);

} // namespace kata_vfio::cli
