// SPDX-License-Identifier: Apache-2.0
#include "config/document.hpp"

#include "config/assign.hpp"
#include "config/base/failure.hpp"
#include "config/base/text.hpp"
#include "config/kata_keys.hpp"
#include "config/keys.hpp"

#include <toml++/toml.h>

#include <algorithm>
#include <cctype>
#include <tuple>

namespace kata_vfio::config {
namespace {

std::string join(std::string_view table, std::string_view name) {
    return table.empty() ? std::string(name) : std::string(table) + "." + std::string(name);
}

/// Whether `path` is a table of the schema or one that such a table lies in.
bool leads_to_a_table(std::string_view path) {
    return std::ranges::any_of(keys(), [&](const Key& key) {
        return key.table == path || (key.table.starts_with(path) && key.table[path.size()] == '.');
    });
}

/// As people write keys by mistake: Go's reader takes them in any case, and dashes are common.
std::string folded(std::string_view word) {
    std::string out(word);
    for (auto& c : out)
        c = c == '-' ? '_' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return out;
}

/// The names that have a meaning in a table: keys and tables of ours, and Kata's.
std::vector<std::string> names_in(std::string_view table) {
    auto names = kata_names(table);
    for (const auto& key : keys()) {
        if (key.table == table)
            names.emplace_back(key.name);
        const auto prefix = table.empty() ? std::string() : std::string(table) + ".";
        if (key.table != table && key.table.starts_with(prefix)) {
            const auto rest = key.table.substr(prefix.size());
            names.emplace_back(rest.substr(0, rest.find('.')));
        }
    }
    return names;
}

/// One file's table tree laid over a configuration.
class Merge {
  public:
    Merge(Configuration& configuration, const std::string& file, std::vector<Problem>& problems)
        : configuration_(configuration), file_(file), problems_(problems) {}

    void table(const toml::table& table, const std::string& path) {
        for (const auto& [key, value] : table)
            entry(path, key, value);
    }

    std::vector<UnknownKey> unknown;
    std::vector<Warning> warnings;

  private:
    void entry(const std::string& path, const toml::key& name, const toml::node& value) {
        const auto dotted = join(path, name.str());
        if (const auto* key = find_key(path, name.str())) {
            if (assign(*key, value, key->slot(configuration_), file_, problems_))
                remember(dotted, begin_of(value.source(), file_));
        } else if (leads_to_a_table(dotted)) {
            if (const auto* inner = value.as_table())
                table(*inner, dotted);
            else
                problems_.push_back({begin_of(value.source(), file_), std::string(name.str()),
                                     "must be a table ([" + dotted + "]), is " + describe(value)});
        } else if (const auto* obsolete = find_obsolete(path, name.str())) {
            if (literal(value) != obsolete->inert)
                warnings.push_back({begin_of(name.source(), file_), dotted,
                                    "is obsolete and " + std::string(obsolete->instead)});
        } else if (!is_kata_key(path, name.str())) {
            foreign(path, name, value);
        }
    }

    void remember(const std::string& dotted, const Position& at) {
        auto& origin = configuration_.where[dotted];
        if (!origin.at.file.empty())
            origin.overridden.push_back(origin.at);
        origin.at = at;
    }

    static std::string literal(const toml::node& value) {
        if (const auto* string = value.as_string())
            return toml_string(string->get());
        if (const auto* number = value.as_integer())
            return std::to_string(number->get());
        if (const auto* boolean = value.as_boolean())
            return boolean->get() ? "true" : "false";
        return {};
    }

    void foreign(const std::string& path, const toml::key& name, const toml::node& value) {
        const auto at = begin_of(name.source(), file_);
        const auto word = folded(name.str());
        const auto meant = nearest(word, names_in(path));
        std::string text = value.is_table() ? "is no known table" : "is no known key";
        std::string meant_key;
        if (!meant.empty()) {
            const auto whole = join(path, meant);
            text += value.is_table() ? " (did you mean [" + whole + "]?)"
                                     : " (did you mean " + meant + "?)";
            if (leads_to_a_table(whole) || find_key(path, meant))
                meant_key = whole;
        } else if (const auto* key = elsewhere(word); key && !value.is_table()) {
            text += " of " + (path.empty() ? std::string("the top level") : "[" + path + "]") +
                    " (it belongs in [" + std::string(key->table) + "])";
            meant_key = key->dotted();
        }
        unknown.push_back({join(path, name.str()), at, meant_key});
        warnings.push_back({at, join(path, name.str()), text});
    }

    static const Key* elsewhere(std::string_view word) {
        for (const auto& key : keys())
            if (key.name == word)
                return &key;
        return nullptr;
    }

    Configuration& configuration_;
    const std::string& file_;
    std::vector<Problem>& problems_;
};

/// `# hotplug_vfio_on_root_bus = ...`, as the stock file has it.
std::optional<Position> find_comment(std::string_view text, std::string_view key,
                                     const std::string& name) {
    std::uint32_t number = 0;
    for (const auto line : split(text, '\n')) {
        ++number;
        const auto hash = line.find_first_not_of(" \t");
        if (hash == std::string_view::npos || line[hash] != '#')
            continue;
        auto rest = trim(line.substr(hash + 1));
        if (!rest.starts_with(key))
            continue;
        rest = trim(rest.substr(key.size()));
        if (rest.starts_with('='))
            return Position{name, number, static_cast<std::uint32_t>(hash + 1)};
    }
    return std::nullopt;
}

constexpr auto in_order = [](const auto& a, const auto& b) {
    return std::tie(a.at.line, a.at.column) < std::tie(b.at.line, b.at.column);
};

} // namespace

std::string Problem::str() const {
    return at.str() + (key.empty() ? "" : " " + key) + ": " + text;
}

void merge(Configuration& configuration, std::string_view text, const std::string& name,
           std::vector<Problem>& problems) {
    if (auto problem = key_too_deep(text, name)) {
        problems.push_back(std::move(*problem));
        return;
    }
    toml::table root;
    try {
        root = toml::parse(text, std::string_view(name));
    } catch (const toml::parse_error& error) {
        problems.push_back(syntax_problem(error, text, name));
        return;
    }
    if (!configuration.commented_root_bus)
        configuration.commented_root_bus = find_comment(text, "hotplug_vfio_on_root_bus", name);
    // toml++ keeps keys by name; people read a file from the top.
    std::vector<Problem> found;
    Merge merge(configuration, name, found);
    merge.table(root, "");
    std::ranges::stable_sort(found, in_order);
    std::ranges::stable_sort(merge.warnings, in_order);
    std::ranges::stable_sort(merge.unknown, in_order);
    std::ranges::move(found, std::back_inserter(problems));
    std::ranges::move(merge.warnings, std::back_inserter(configuration.warnings));
    std::ranges::move(merge.unknown, std::back_inserter(configuration.unknown));
}

void throw_problems(const std::vector<Problem>& problems) {
    if (problems.empty())
        return;
    std::string lines;
    for (const auto& problem : problems) {
        if (!lines.empty())
            lines += '\n';
        lines += problem.str();
    }
    Failure failure(Errc::config_invalid, lines);
    const auto advised = std::ranges::find_if(
        problems, [](const Problem& problem) { return !problem.remedy.empty(); });
    if (advised != problems.end())
        failure.remedy(advised->remedy);
    throw failure;
}

Configuration load_text(std::string_view text, const std::string& name) {
    Configuration configuration;
    configuration.files.emplace_back(name);
    std::vector<Problem> problems;
    merge(configuration, text, name, problems);
    throw_problems(problems);
    return configuration;
}

} // namespace kata_vfio::config
