// SPDX-License-Identifier: Apache-2.0
// g++ 12 with -fsanitize=address takes libstdc++'s own <regex> for a use of uninitialised memory
// (GCC bug 105562), which -Werror would make fatal.
#ifndef __clang__ // which does not know the warning
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include "runtime-plugin/cli/check/cpu.hpp"

#include "config/base/text.hpp"

#include <regex>

namespace kata_vfio::cli {
namespace {

using Match = std::match_results<std::string_view::const_iterator>;

bool find(std::string_view text, Match& match, const char* expression) {
    return std::regex_search(text.begin(), text.end(), match, std::regex(expression));
}

int number_of(const Match& match, std::size_t group) {
    return std::stoi(match[group].str());
}

/// The generation in a Core's model number, e.g. 5500 -> 5, 10510 -> 10, 1165 (G7) -> 11.
CpuGeneration of_core_number(const std::string& digits, bool g_suffix, bool mobile_suffix) {
    if (digits.size() >= 5)
        return {std::stoi(digits.substr(0, 2)), false};
    if (digits.size() == 4) {
        const int first_two = std::stoi(digits.substr(0, 2));
        // Four digits with two for the generation: 1035G1 and 1165G7, and from the 12th on mobile
        // parts like 1260P; 1xxx without such a suffix there is none.
        if (g_suffix || (mobile_suffix && first_two >= 12 && first_two <= 14))
            return {first_two, first_two == 10 && g_suffix};
        return {digits[0] - '0', false};
    }
    return {1, false}; // i7-920, i7-920XM
}

std::optional<CpuGeneration> of_core(std::string_view model) {
    Match match;
    if (find(model, match, "Core\\(TM\\) Ultra"))
        return CpuGeneration{14, false};
    if (find(model, match, "([0-9]+)th Gen Intel"))
        return CpuGeneration{number_of(match, 1), false};
    // "i7 CPU         920", "i5 CPU       M 520": so the first ones are written.
    if (find(model, match, "Core\\(TM\\) i[3579] CPU +(?:[A-Z] +)?[0-9]{3}"))
        return CpuGeneration{1, false};
    // i3-N305: Alder Lake.
    if (find(model, match, "Core\\(TM\\) i3-N[0-9]{3}"))
        return CpuGeneration{12, false};
    // m3-6Y30, M-5Y71, i5-7Y54: the letter stands inside the number.
    if (find(model, match, "Core\\(TM\\) (?:[iIm][3579]|M)-([0-9]{1,2})Y[0-9]{2}"))
        return CpuGeneration{number_of(match, 1), false};
    if (find(model, match, "Core\\(TM\\) [im][3579][- ]+([0-9]{3,5})(G[0-9])?([PUH])?"))
        return of_core_number(match[1].str(), match[2].matched, match[3].matched);
    return std::nullopt;
}

std::optional<CpuGeneration> of_xeon(std::string_view model) {
    Match match;
    if (find(model, match, "E3-[0-9]{4}[A-Z]* ?(?:[vV]([0-9]+))?"))
        return CpuGeneration{match[1].matched ? number_of(match, 1) + 1 : 2, false};
    if (find(model, match, "E-(2[0-9])[0-9]{2}")) {
        switch (number_of(match, 1)) {
        case 21:
            return CpuGeneration{8, false};
        case 22:
            return CpuGeneration{9, false};
        case 23:
            return CpuGeneration{11, false};
        default:
            return CpuGeneration{14, false};
        }
    }
    if (find(model, match, "W-(1[0-9])[0-9]{2}"))
        return CpuGeneration{number_of(match, 1) == 12 ? 10 : 11, false};
    return std::nullopt;
}

} // namespace

Cpu parse_cpuinfo(std::string_view text) {
    Cpu cpu;
    for (const auto line : split(text, '\n')) {
        const auto at = line.find(':');
        if (at == std::string_view::npos) {
            if (!cpu.model.empty())
                break; // the first CPU's paragraph ends
            continue;
        }
        const auto key = trim(line.substr(0, at)), value = trim(line.substr(at + 1));
        if (key == "vendor_id")
            cpu.vendor = value;
        else if (key == "model name")
            cpu.model = value;
        else if (key == "flags")
            for (const auto flag : split(value, ' '))
                cpu.virtualization |= flag == "vmx" || flag == "svm";
    }
    return cpu;
}

std::optional<CpuGeneration> cpu_generation(std::string_view model) {
    if (model.find("Xeon") != std::string_view::npos)
        return of_xeon(model);
    return of_core(model);
}

} // namespace kata_vfio::cli
