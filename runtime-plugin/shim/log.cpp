// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/shim/log.hpp"

#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdio>
#include <ctime>

namespace kata_vfio::shim {
namespace {

std::atomic<bool> enabled{false};
std::atomic<bool> debug{false};

} // namespace

std::string log_value(std::string_view text) {
    std::string out = "\"";
    for (const char c : text.substr(0, 4096)) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\') {
            out.push_back('\\');
            out.push_back(c);
        } else if (c == '\n') {
            out += "\\n";
        } else if (byte < 0x20 || byte == 0x7f) {
            std::array<char, 8> code{};
            std::snprintf(code.data(), code.size(), "\\x%02x", byte);
            out += code.data();
        } else {
            out.push_back(c);
        }
    }
    return out + "\"";
}

void log_line(LogLevel level, std::string_view message, Fields fields) {
    if (!enabled || (level == LogLevel::debug && !debug))
        return;
    constexpr std::array<std::string_view, 4> names{"error", "warning", "info", "debug"};
    std::array<char, 32> time{};
    const std::time_t now = std::time(nullptr);
    std::tm parts{};
    ::gmtime_r(&now, &parts);
    std::strftime(time.data(), time.size(), "%Y-%m-%dT%H:%M:%SZ", &parts);
    std::string line = "time=\"" + std::string(time.data()) +
                       "\" level=" + std::string(names[static_cast<std::size_t>(level)]) +
                       " msg=" + log_value(message);
    for (const auto& [key, value] : fields)
        line += " " + std::string(key) + "=" + log_value(value);
    line += "\n";
    [[maybe_unused]] const auto written = ::write(STDERR_FILENO, line.data(), line.size());
}

void log_with_debug(bool on) noexcept {
    debug = on;
}
void log_enable(bool on) noexcept {
    enabled = on;
}

} // namespace kata_vfio::shim
