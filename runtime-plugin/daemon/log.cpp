// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/daemon/log.hpp"

#include "runtime-plugin/cli/table.hpp"

#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <string>

namespace kata_vfio::daemon {
namespace {

std::atomic<bool> debug{false};

bool to_journal() {
    static const bool is = ::secure_getenv("JOURNAL_STREAM") != nullptr;
    return is;
}

} // namespace

void log_debug_too() {
    debug = true;
}

void log(Level level, std::string_view line) {
    if (level == Level::debug && !debug)
        return;
    // sd-daemon(3): SD_ERR, SD_WARNING, SD_INFO, SD_DEBUG
    constexpr std::array<std::string_view, 4> priorities{"<3>", "<4>", "<6>", "<7>"};
    std::string text = to_journal() ? std::string(priorities[static_cast<std::size_t>(level)])
                                    : std::string("kata-vfiod: ");
    text += cli::printable(line);
    text += '\n';
    [[maybe_unused]] const auto written = ::write(STDERR_FILENO, text.data(), text.size());
}

} // namespace kata_vfio::daemon
