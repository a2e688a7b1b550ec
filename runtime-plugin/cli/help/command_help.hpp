// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace kata_vfio::cli {

/// An option or an operand, as --help has it.
struct OptionHelp {
    std::vector<std::string> names; ///< "-v", "--verbose"; an operand's: "DEVICE"
    std::string value;              ///< "FILE"; "" for a flag. An operand's is its name
    std::string description;
    bool required = false;
    bool repeats = false; ///< an operand that takes all the words behind it

    /// --help and --help-all, which every verb has.
    bool asks_for_help() const;
};

/// A command with its verbs. Made of what --help is printed from, for whoever prints it in another
/// form: manual page, completion. What --help hides is not in it.
struct CommandHelp {
    std::string name; ///< without its parents'
    std::string description;
    std::vector<OptionHelp> options;
    std::vector<OptionHelp> operands; ///< in their order
    std::vector<CommandHelp> verbs;
    std::string footer; ///< lines; one that ends with ":" and is not indented begins a section

    /// "kata-vfio attach ID DEVICE [--uuid TEXT]"; `prefix` are its parents' names.
    std::string synopsis(const std::string& prefix) const;
};

CommandHelp command_help(const CLI::App& app);

} // namespace kata_vfio::cli
