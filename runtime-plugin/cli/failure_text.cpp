// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/cli/failure_text.hpp"

#include "config/base/text.hpp"
#include "runtime-plugin/cli/table.hpp"

namespace kata_vfio::cli {
namespace {

/// Whose words said() are.
std::string_view speaker(Errc code, int sys_errno) {
    switch (static_cast<int>(code) / 100) {
    case 4:
        return "the kernel said";
    case 5: // what is no answer of QEMU's is the socket's, or our own
        if (code == Errc::monitor_missing || code == Errc::monitor_refused ||
            code == Errc::monitor_busy || sys_errno != 0)
            return "the kernel said";
        return code == Errc::qemu_gone ? "reason" : "QEMU said";
    case 6:
        return code == Errc::host_timeout ? "the kernel said" : "QEMU said";
    default:
        return "reason";
    }
}

/// Lines after the first are set in, so that they can't pass for a message of their own.
std::string set_in(std::string_view text) {
    std::string out;
    for (const auto line : split(trim(text), '\n')) {
        if (!out.empty())
            out += "\n    ";
        out += printable(line);
    }
    return out;
}

} // namespace

std::string failure_text(const Failure& failure) {
    std::string text = "kata-vfio: ";
    if (!failure.action().empty())
        text += set_in(failure.action()) + ": ";
    text += set_in(failure.problem()) + "\n";
    const auto line = [&](std::string_view label, const std::string& words) {
        if (!words.empty())
            text += "  " + std::string(label) + ": " + set_in(words) + "\n";
    };
    line(speaker(failure.code(), failure.sys_errno()), failure.verbatim());
    line("blocked by", failure.blocker());
    line("what to do", failure.advice());
    return text;
}

} // namespace kata_vfio::cli
