// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/cli/help/man_page.hpp"

#include "config/base/text.hpp"

#include <algorithm>
#include <cctype>

namespace kata_vfio::cli {
namespace {

/// For roff: no control line by chance, and hyphens that can be copied into a shell.
std::string escaped(std::string_view text) {
    std::string out;
    for (const char c : text) {
        if (c == '\\')
            out += "\\e";
        else if (c == '-')
            out += "\\-";
        else if ((c == '.' || c == '\'') && (out.empty() || out.back() == '\n'))
            out += std::string("\\&") + c;
        else
            out += c;
    }
    return out;
}

std::string upper(std::string text) {
    for (auto& c : text)
        c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    return text;
}

std::string tagged(const OptionHelp& option) {
    std::string names;
    for (const auto& name : option.names)
        names += (names.empty() ? "\\fB" : ", \\fB") + escaped(name) + "\\fR";
    if (option.value != option.names.front() && !option.value.empty())
        names += " \\fI" + escaped(option.value) + "\\fR";
    return ".TP\n" + names + "\n" + escaped(option.description) + "\n";
}

/// As it stands, lines kept.
std::string literal(const std::vector<std::string>& lines) {
    std::string text = ".nf\n";
    for (const auto& line : lines)
        text += escaped(line) + "\n";
    return text + ".fi\n";
}

/// The footer's sections; `heading` is the macro for one: .SH, or .B inside of a verb.
std::string sections(const std::string& footer, const std::string& heading) {
    std::string text;
    std::vector<std::string> held;
    const auto flush = [&] {
        while (!held.empty() && held.back().empty())
            held.pop_back();
        if (!held.empty())
            text += literal(held);
        held.clear();
    };
    for (const auto line : split(footer, '\n')) {
        if (!line.empty() && line.front() != ' ' && line.back() == ':') {
            flush();
            const std::string title(line.substr(0, line.size() - 1));
            text += heading == ".SH" ? ".SH " + upper(escaped(title)) + "\n"
                                     : ".PP\n" + escaped(title) + ":\n.br\n";
        } else if (!line.empty() && line.front() != ' ') {
            flush();
            text += ".PP\n" + escaped(line) + "\n";
        } else if (!held.empty() || !line.empty()) {
            held.emplace_back(line);
        }
    }
    flush();
    return text;
}

std::string verbs(const CommandHelp& help, const std::string& prefix) {
    std::string text;
    for (const auto& verb : help.verbs) {
        if (!verb.verbs.empty()) {
            text += verbs(verb, prefix + " " + verb.name);
            continue;
        }
        text += ".SS " + escaped(verb.synopsis(prefix)) + "\n" + escaped(verb.description) + ".\n";
        for (const auto& operand : verb.operands)
            text += tagged(operand);
        for (const auto& option : verb.options)
            if (!option.asks_for_help())
                text += tagged(option);
        text += sections(verb.footer, ".B");
    }
    return text;
}

} // namespace

std::string man_page(const CommandHelp& help, int section, const std::string& version,
                     const std::string& see_also) {
    // What whatis shows is one sentence, without its stop.
    auto first = help.description.substr(0, help.description.find(". "));
    if (first.ends_with('.'))
        first.pop_back();
    if (!first.empty())
        first[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(first[0])));
    auto text = ".TH " + upper(escaped(help.name)) + " " + std::to_string(section) + " \"\" \"" +
                escaped(version) + "\" \"kata\\-vfio\"\n";
    text += ".SH NAME\n" + escaped(help.name) + " \\- " + escaped(first) + "\n";
    text += ".SH SYNOPSIS\n.B " + escaped(help.name) + "\n[OPTIONS]" +
            (help.verbs.empty() ? "" : " VERB ...") + "\n";
    text += ".SH DESCRIPTION\n" + escaped(help.description) + "\n";
    text += ".SH OPTIONS\n";
    for (const auto& option : help.options)
        text += tagged(option);
    if (!help.verbs.empty())
        text += ".SH VERBS\n" + verbs(help, help.name);
    text += sections(help.footer, ".SH");
    text += ".SH SEE ALSO\n" + escaped(see_also) + ", /usr/share/doc/kata\\-vfio\n";
    return text;
}

} // namespace kata_vfio::cli
