// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/cli/progress.hpp"

#include "runtime-plugin/cli/table.hpp"

#include <iomanip>
#include <sstream>

namespace kata_vfio::cli {

void Progress::step(const std::string& text, Clock::time_point now) {
    steps_.push_back(text);
    std::ostringstream line;
    const auto seconds = std::chrono::duration<double>(now - start_).count();
    line << std::fixed << std::setprecision(1) << std::setw(5) << seconds << " s  "
         << printable(text) << '\n';
    held_back_.push_back(line.str());
    tick(now);
}

void Progress::tick(Clock::time_point now) {
    if (show_ == Show::when_slow && now - start_ >= patience)
        show_ = Show::at_once;
    if (show_ == Show::at_once)
        flush();
}

std::optional<Progress::Clock::time_point> Progress::wake() const {
    if (show_ != Show::when_slow || held_back_.empty())
        return std::nullopt;
    return start_ + patience;
}

void Progress::show_all() {
    show_ = Show::at_once;
    flush();
}

void Progress::flush() {
    for (const auto& line : held_back_)
        err_ << line;
    if (!held_back_.empty())
        err_.flush();
    held_back_.clear();
}

} // namespace kata_vfio::cli
