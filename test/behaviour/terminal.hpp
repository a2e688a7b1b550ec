// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/base/unique_fd.hpp"

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

namespace kata_vfio::behaviour {

/// A program on a terminal of its own (a pty of 200 columns) that a test types at. Killed with its
/// test. A minute without output is an error.
class Terminal {
  public:
    /// "NAME=VALUE" words of `environment` are added to ours. Throws when it can't be run.
    explicit Terminal(const std::vector<std::string>& words,
                      const std::vector<std::string>& environment = {});
    ~Terminal();
    Terminal(const Terminal&) = delete;
    Terminal& operator=(const Terminal&) = delete;

    void type(std::string_view keys);
    /// What has been shown since the last call, up to and with `text`: escape sequences taken out,
    /// line ends as \n. Throws std::runtime_error with what came when that never comes.
    std::string until(std::string_view text);
    /// As until(), and then until the program takes keys one by one: libedit shows its prompt first
    /// and switches the terminal afterwards, and a Ctrl-D between the two is lost.
    std::string prompt(std::string_view text);
    /// What is left up to the program's end.
    std::string rest();
    /// Behind rest(): exit status, or 128 + signal.
    int status();

  private:
    bool more();

    UniqueFd master_;
    pid_t pid_ = -1;
    std::string raw_; ///< an escape sequence that is not complete
    std::string shown_;
};

} // namespace kata_vfio::behaviour
