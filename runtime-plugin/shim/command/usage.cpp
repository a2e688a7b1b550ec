// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/shim/command/usage.hpp"

namespace kata_vfio::shim {

cli::CommandHelp command_help() {
    cli::CommandHelp help;
    help.name = "containerd-shim-kata-vfio-v2";
    help.description = "Runs containerd's pods in machines whose GPUs are attached by kata-vfio "
                       "(docs/runtime.md).";
    const auto add = [](std::vector<cli::OptionHelp>& list, const char* name, const char* value,
                        const char* what) {
        cli::OptionHelp option;
        option.names = {name};
        option.value = value;
        option.description = what;
        list.push_back(std::move(option));
    };
    add(help.options, "-namespace", "NS", "containerd's namespace; required");
    add(help.options, "-id", "ID",
        "The container, which is the sandbox for the first of a pod; required");
    add(help.options, "-address", "SOCKET", "containerd's own socket");
    add(help.options, "-publish-binary", "PATH", "Taken and not used: events go over ttrpc");
    add(help.options, "-bundle", "DIR", "The container's bundle (default: the current directory)");
    add(help.options, "-debug", "", "Debug messages too");
    add(help.options, "-v", "", "Print the version and exit");
    add(help.options, "-help", "", "Print this help message and exit");
    cli::CommandHelp start, remove;
    start.name = "start";
    start.description =
        "Start a shim for the sandbox, or find the one that serves it, and print its address";
    remove.name = "delete";
    remove.description =
        "Clean up after a shim that has died: end its machine, give its devices back";
    help.verbs = {start, remove};
    help.footer = "containerd starts it, by runtime_type = \"io.containerd.kata-vfio.v2\".\n"
                  "Exit status: 0 done, 1 refused; the reason is on standard error.";
    return help;
}

std::string usage() {
    const auto help = command_help();
    std::string text = help.description + "\nUsage: " + help.name + " [OPTIONS]";
    for (const char* between = " "; const auto& verb : help.verbs) {
        text += between + verb.name;
        between = "|";
    }
    text += "\n\nOptions:\n";
    constexpr std::size_t column = 26;
    const auto row = [&](const std::string& what, const std::string& description) {
        text += "  " + what + std::string(what.size() < column ? column - what.size() : 1, ' ') +
                description + "\n";
    };
    for (const auto& option : help.options)
        row(option.names.front() + (option.value.empty() ? "" : " " + option.value),
            option.description);
    text += "\nActions:\n";
    for (const auto& verb : help.verbs)
        row(verb.name, verb.description);
    return text + "\n" + help.footer + "\n";
}

} // namespace kata_vfio::shim
