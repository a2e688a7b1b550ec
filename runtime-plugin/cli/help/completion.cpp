// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/cli/help/completion.hpp"

#include "runtime-plugin/cli/table.hpp"

#include <algorithm>
#include <set>

namespace kata_vfio::cli {
namespace {

bool names_file(const std::string& kind) {
    static const std::set<std::string> files{"FILE", "PATH", "OUT", "KERNEL", "ID|FILE"};
    return files.contains(kind);
}

/// Where the words lead: the verb, with its parents for the options that stand anywhere.
struct Place {
    std::vector<const CommandHelp*> chain;
    std::size_t operands = 0;         ///< given so far
    const OptionHelp* asks = nullptr; ///< the option whose value comes next
    bool only_operands = false;       ///< behind "--"

    const CommandHelp& verb() const { return *chain.back(); }

    const OptionHelp* option(const std::string& name) const {
        for (const auto* each : chain)
            for (const auto& found : each->options)
                if (std::ranges::find(found.names, name) != found.names.end())
                    return &found;
        return nullptr;
    }

    void take(const std::string& word) {
        if (asks) {
            asks = nullptr;
        } else if (!only_operands && word == "--") {
            only_operands = true;
        } else if (!only_operands && word.size() > 1 && word[0] == '-') {
            const auto* found = option(word);
            asks = found && !found->value.empty() ? found : nullptr;
        } else if (!verb().verbs.empty()) {
            for (const auto& each : verb().verbs)
                if (each.name == word) {
                    chain.push_back(&each);
                    return;
                }
        } else {
            ++operands;
        }
    }
};

std::string kind_of_operand(const Place& place) {
    const auto& all = place.verb().operands;
    if (place.operands < all.size()) {
        const auto& name = all[place.operands].names.front();
        return name == "WORDS" ? "ID" : name; // qmp: the sandbox, then QEMU's own
    }
    return "";
}

} // namespace

Candidates complete(const CommandHelp& help, const std::vector<std::string>& words,
                    const Known& known) {
    Place place{{&help}, 0, nullptr, false};
    for (std::size_t i = 0; i + 1 < words.size(); ++i)
        place.take(words[i]);
    const std::string current = words.empty() ? "" : words.back();
    Candidates found;
    std::string before; // "--config=" of a value that is written with its option
    const auto values = [&](const std::string& kind) {
        found.words = known(kind == "ID|FILE" ? "ID" : kind);
        found.files = names_file(kind);
    };
    const auto equals = current.find('=');
    if (place.asks) {
        values(place.asks->value);
    } else if (!place.only_operands && current.starts_with("--") && equals != current.npos) {
        before = current.substr(0, equals + 1);
        const auto* option = place.option(current.substr(0, equals));
        if (option)
            values(option->value);
    } else if (!place.only_operands && current.starts_with("-")) {
        for (const auto* each : place.chain)
            for (const auto& option : each->options)
                for (const auto& name : option.names)
                    found.words.push_back({name, option.description});
    } else if (!place.verb().verbs.empty()) {
        for (const auto& each : place.verb().verbs)
            found.words.push_back({each.name, each.description});
    } else if (const auto kind = kind_of_operand(place); !kind.empty()) {
        values(kind);
    }
    std::set<std::string> seen;
    std::erase_if(found.words, [&](Candidate& candidate) {
        candidate.word.insert(0, before);
        return !candidate.word.starts_with(current) || !seen.insert(candidate.word).second;
    });
    return found;
}

std::string completion_lines(const Candidates& candidates) {
    std::string text;
    for (const auto& candidate : candidates.words) {
        text += printable(candidate.word);
        if (!candidate.description.empty())
            text += "\t" + printable(candidate.description);
        text += "\n";
    }
    return candidates.files ? text + ":files\n" : text;
}

} // namespace kata_vfio::cli
