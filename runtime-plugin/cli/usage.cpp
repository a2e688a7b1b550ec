// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/cli/usage.hpp"

#include "config/base/text.hpp"

#include <CLI/App.hpp>

#include <algorithm>
#include <cctype>

namespace kata_vfio::cli {
namespace {

using Apps = std::vector<const CLI::App*>;

Apps subcommands(const CLI::App& app) {
    return app.get_subcommands([](const CLI::App*) { return true; });
}

const CLI::App* named(const Apps& apps, const std::string& name) {
    const auto found = std::find_if(apps.begin(), apps.end(),
                                    [&](const auto* app) { return app->get_name() == name; });
    return found == apps.end() ? nullptr : *found;
}

/// "kata-vfio sandbox open"
std::string full_name(const CLI::App& app) {
    const auto* parent = app.get_parent();
    return (parent ? full_name(*parent) + " " : std::string()) + app.get_name();
}

/// Its own and those that stand anywhere; the hidden ones are nobody's business.
std::vector<std::string> options_of(const CLI::App* app) {
    std::vector<std::string> names;
    for (; app; app = app->get_parent())
        for (const auto* option : app->get_options([](const auto*) { return true; }))
            if (!option->get_group().empty())
                for (const auto& name : option->get_lnames())
                    names.push_back("--" + name);
    return names;
}

/// The verbs that have the option, "attach or reconcile".
std::string owners_of(const CLI::App& app, const std::string& option) {
    std::vector<std::string> owners;
    for (const auto* verb : subcommands(app)) {
        if (verb->get_option_no_throw(option))
            owners.push_back(verb->get_name());
        for (const auto* nested : subcommands(*verb))
            if (nested->get_option_no_throw(option))
                owners.push_back(verb->get_name() + " " + nested->get_name());
    }
    return join_words(owners, " or ");
}

Failure unknown_option(const CLI::App& top, const CLI::App& verb, const std::string& option) {
    Failure failure(Errc::invalid_argument, quoted(option) + " is no option of " + full_name(verb));
    if (const auto meant = nearest(option, options_of(&verb)); !meant.empty())
        return failure.remedy("did you mean " + meant + "?");
    // Of another verb: written in front of it, or of the wrong one.
    std::vector<std::string> all;
    for (const auto* each : subcommands(top)) {
        const auto below = subcommands(*each);
        for (const auto* at : below.empty() ? Apps{each} : below)
            for (auto& name : options_of(at))
                all.push_back(std::move(name));
    }
    if (const auto meant = nearest(option, all); !meant.empty())
        return failure.remedy("did you mean " + meant + " of " + owners_of(top, meant) +
                              "? It stands behind that");
    return failure.remedy("see " + full_name(verb) + " --help");
}

Failure unknown_verb(const CLI::App& family, const std::string& word, const std::string& next) {
    Failure failure(Errc::invalid_argument, quoted(word) + " is no verb of " + full_name(family));
    const auto verbs = subcommands(family);
    if (word == "help") {
        const bool known = named(verbs, next);
        return failure.remedy("kata-vfio " + (known ? next + " " : std::string()) + "--help");
    }
    std::vector<std::string> names, nested_names, nested_full;
    for (const auto* verb : verbs) {
        names.push_back(verb->get_name());
        for (const auto* nested : subcommands(*verb)) {
            nested_names.push_back(nested->get_name());
            nested_full.push_back(verb->get_name() + " " + nested->get_name());
        }
    }
    auto meant = nearest(word, names);
    if (meant.empty())
        if (const auto below = nearest(word, nested_names); !below.empty())
            meant = nested_full[static_cast<std::size_t>(
                std::find(nested_names.begin(), nested_names.end(), below) - nested_names.begin())];
    return failure.remedy(meant.empty() ? full_name(family) + " --help lists them"
                                        : "did you mean " + meant + "?");
}

/// The verb's parser, by "sandbox open".
const CLI::App& at_verb(const CLI::App& top, const std::string& verb) {
    const auto* app = &top;
    for (const auto name : split(verb, ' '))
        if (const auto* next = named(subcommands(*app), std::string(name)))
            app = next;
    return *app;
}

std::vector<std::string> operands_of(const CLI::App& app) {
    std::vector<std::string> names;
    for (const auto* option : app.get_options([](const auto*) { return true; }))
        if (option->get_positional())
            names.push_back(option->get_single_name());
    return names;
}

const CLI::Option* option_of(const CLI::App* app, const std::string& name) {
    for (; app; app = app->get_parent())
        if (const auto* option = app->get_option_no_throw(name))
            return option;
    return nullptr;
}

Failure without_value(const CLI::Option& option, const std::string& name, const std::string& verb) {
    return Failure(Errc::invalid_argument, name + " has no value")
        .during(verb.empty() ? "usage" : verb)
        .remedy("write it as " + name + " " + option.get_type_name() + " (" +
                option.get_description() + "): see kata-vfio " + (verb.empty() ? "" : verb + " ") +
                "--help");
}

bool is_option(const std::string& word) {
    return word.size() > 1 && word[0] == '-' && !std::isdigit(static_cast<unsigned char>(word[1]));
}

} // namespace

std::optional<Failure> unknown_word(const CLI::App& app, const std::vector<std::string>& args) {
    const CLI::App* verb = &app;
    for (std::size_t i = 0; i < args.size() && args[i] != "--"; ++i) {
        const auto& word = args[i];
        if (is_option(word)) {
            const auto name = word.substr(0, word.find('='));
            const auto* option = option_of(verb, name);
            if (!option)
                return unknown_option(app, *verb, name);
            if (!is_flag(*option) && name == word)
                ++i; // its value
            continue;
        }
        const auto verbs = subcommands(*verb);
        if (verbs.empty())
            continue; // an operand
        const auto* next = named(verbs, word);
        if (!next)
            return unknown_verb(*verb, word, i + 1 < args.size() ? args[i + 1] : "");
        verb = next;
    }
    return std::nullopt;
}

bool is_flag(const CLI::Option& option) {
    return option.get_items_expected_max() == 0;
}

std::optional<Failure> missing_value(const CLI::App& app, const std::vector<std::string>& args) {
    const CLI::App* verb = &app;
    for (std::size_t i = 0; i < args.size() && args[i] != "--"; ++i) {
        const auto* option = is_option(args[i]) ? option_of(verb, args[i]) : nullptr;
        if (!option || is_flag(*option)) {
            if (const auto* next = named(subcommands(*verb), args[i]); next && !option)
                verb = next;
            continue;
        }
        ++i;
        if (i < args.size() && is_option(args[i]) && option_of(verb, args[i]))
            return without_value(*option, args[i - 1],
                                 verb == &app ? "" : full_name(*verb).substr(10));
    }
    return std::nullopt;
}

Failure misuse(const CLI::App& top, const std::string& verb, const CLI::ParseError& error) {
    const auto& app = at_verb(top, verb);
    const auto help = "see kata-vfio " + (verb.empty() ? "" : verb + " ") + "--help";
    const auto failure = [&](std::string problem, const std::string& remedy) {
        Failure made(Errc::invalid_argument, std::move(problem));
        return made.during(verb.empty() ? "usage" : verb).remedy(remedy);
    };
    const std::string said = error.what();
    const auto verbs = subcommands(app);
    if (dynamic_cast<const CLI::RequiredError*>(&error) && !verbs.empty()) {
        std::vector<std::string> names;
        for (const auto* each : verbs)
            names.push_back(each->get_name());
        return failure("no verb is given" + (verb.empty() ? "" : ": it has " + join_words(names)),
                       help);
    }
    if (dynamic_cast<const CLI::ExtrasError*>(&error)) {
        std::vector<std::string> extra;
        for (const auto& word : top.remaining(true))
            extra.push_back(quoted(word));
        const auto operands = operands_of(app);
        return failure(join_words(extra) + (extra.size() == 1 ? " is" : " are") +
                           " too many: it takes " +
                           (operands.empty() ? "no operand" : join_words(operands)),
                       help);
    }
    if (dynamic_cast<const CLI::ArgumentMismatch*>(&error)) {
        // "--svg: 1 required OUT missing", "once was given a disallowed flag override"
        auto name = said.substr(0, said.find_first_of(": "));
        if (!name.starts_with('-'))
            name.insert(0, name.size() == 1 ? "-" : "--");
        const auto* option = option_of(&app, name);
        if (!option)
            return failure(said, help);
        if (is_flag(*option))
            return failure(name + " takes no value", "leave out what stands behind the =: " + help);
        if (said.find("required but received") != said.npos)
            return failure(name + " is given more than once", "give it one value: " + help);
        return without_value(*option, name, verb);
    }
    return failure(said, help);
}

} // namespace kata_vfio::cli
