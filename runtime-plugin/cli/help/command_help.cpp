// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/cli/help/command_help.hpp"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>

#include <algorithm>

namespace kata_vfio::cli {
namespace {

OptionHelp option_help(const CLI::Option& option) {
    OptionHelp help;
    if (option.get_positional()) {
        help.names = {option.get_name(true)};
        help.value = help.names.front();
        help.repeats = option.get_items_expected_max() > 1;
    } else {
        for (const auto& name : option.get_snames())
            help.names.push_back("-" + name);
        for (const auto& name : option.get_lnames())
            help.names.push_back("--" + name);
        if (option.get_type_size() > 0)
            help.value = option.get_type_name();
    }
    help.description = option.get_description();
    help.required = option.get_required();
    return help;
}

} // namespace

bool OptionHelp::asks_for_help() const {
    return names.back().starts_with("--help");
}

CommandHelp command_help(const CLI::App& app) {
    CommandHelp help{app.get_name(), app.get_description(), {}, {}, {}, app.get_footer()};
    for (const auto* option : app.get_options([](const CLI::Option*) { return true; })) {
        if (option->get_group().empty())
            continue;
        (option->get_positional() ? help.operands : help.options).push_back(option_help(*option));
    }
    for (const auto* verb : app.get_subcommands([](const CLI::App*) { return true; }))
        if (!verb->get_group().empty())
            help.verbs.push_back(command_help(*verb));
    return help;
}

std::string CommandHelp::synopsis(const std::string& prefix) const {
    auto text = prefix.empty() ? name : prefix + " " + name;
    for (const auto& operand : operands) {
        const auto shown = operand.names.front() + (operand.repeats ? " ..." : "");
        text += operand.required ? " " + shown : " [" + shown + "]";
    }
    for (const auto& option : options) {
        if (option.asks_for_help())
            continue;
        text += " [" + option.names.back() + (option.value.empty() ? "" : " " + option.value) + "]";
    }
    if (!verbs.empty())
        text += " VERB ...";
    return text;
}

} // namespace kata_vfio::cli
