// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime-plugin/cli/help/command_help.hpp"

#include <functional>
#include <string>
#include <vector>

namespace kata_vfio::cli {

/// What the word at the cursor may become.
struct Candidate {
    std::string word;
    std::string description; ///< may be ""
};

struct Candidates {
    std::vector<Candidate> words;
    bool files = false; ///< names of files too
};

/// What there is on the host of a kind that operands and options name: "ID", "DEVICE", "TYPE",
/// "PARENT", "BDF", "UUID", "ADDRESS"; nothing for others.
using Known = std::function<std::vector<Candidate>(const std::string& kind)>;

/// `words`: the command line behind the command's name; the last one, "" for a new one, is at the
/// cursor. Pure.
Candidates complete(const CommandHelp& help, const std::vector<std::string>& words,
                    const Known& known);

/// For the shells' scripts (packaging/completions): "WORD\tDESCRIPTION" lines, and ":files".
std::string completion_lines(const Candidates& candidates);

} // namespace kata_vfio::cli
