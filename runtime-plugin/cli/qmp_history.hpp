// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>

struct history; // libedit's, histedit.h

namespace kata_vfio::cli {

/// $XDG_STATE_HOME/kata-vfio/qmp_history, ~/.local/state/.. without it; "" when neither is known.
std::filesystem::path qmp_history_file();

/// The shell's lines, kept between runs in a file of mode 0600: arguments may hold secrets. One
/// that can't be read or written is done without.
class QmpHistory {
  public:
    explicit QmpHistory(std::filesystem::path file = qmp_history_file());
    /// Saves.
    ~QmpHistory();
    QmpHistory(const QmpHistory&) = delete;
    QmpHistory& operator=(const QmpHistory&) = delete;

    void add(const std::string& line);
    struct ::history* handle() const noexcept { return lines_; }

  private:
    std::filesystem::path file_;
    struct ::history* lines_;
};

} // namespace kata_vfio::cli
