// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/cli/qmp_words.hpp"

#include "config/base/failure.hpp"
#include "config/base/text.hpp"
#include "qemu/qmp/frame.hpp"

#include <boost/json.hpp>

#include <utility>

namespace kata_vfio::cli {
namespace json = boost::json;
namespace {

constexpr auto manner = "write KEY=VALUE (a.b=VALUE for an object in it), or one JSON object";

std::optional<json::value> as_json(std::string_view text) {
    json::parse_options options;
    options.max_depth = qemu::FrameLimits().max_depth;
    json::error_code error;
    auto value = json::parse(text, error, {}, options);
    return error ? std::nullopt : std::optional(std::move(value));
}

json::value value_of(std::string_view text) {
    if (auto value = as_json(text))
        return *value;
    if (text.starts_with('{') || text.starts_with('['))
        throw Failure(Errc::invalid_argument, quoted(text) + " begins as JSON, but is none")
            .remedy("put it in single quotes for the shell; keys in double ones");
    return json::value(text);
}

void put(json::object& into, std::string_view path, json::value value, std::string_view word) {
    const auto dot = path.find('.');
    const auto key = path.substr(0, dot);
    if (key.empty())
        throw Failure(Errc::invalid_argument, quoted(word) + " has an empty name").remedy(manner);
    const auto twice = [&] {
        return Failure(Errc::invalid_argument,
                       quoted(path) + " in " + quoted(word) + " is given twice");
    };
    if (dot == path.npos) {
        if (!into.emplace(key, std::move(value)).second)
            throw twice();
        return;
    }
    auto& inner = into.emplace(key, json::object()).first->value();
    if (!inner.is_object())
        throw twice();
    put(inner.get_object(), path.substr(dot + 1), std::move(value), word);
}

} // namespace

qemu::Command qmp_command(const std::vector<std::string>& words) {
    json::object arguments;
    for (std::size_t i = 1; i < words.size(); ++i) {
        const auto& word = words[i];
        if (word.starts_with('{')) {
            const auto given = value_of(word);
            for (const auto& [key, value] : given.as_object())
                if (!arguments.emplace(key, value).second)
                    throw Failure(Errc::invalid_argument,
                                  quoted(std::string_view(key)) + " is given twice");
            continue;
        }
        const auto equals = word.find('=');
        if (equals == word.npos)
            throw Failure(Errc::invalid_argument, quoted(word) + " is no argument").remedy(manner);
        put(arguments, std::string_view(word).substr(0, equals), value_of(word.substr(equals + 1)),
            word);
    }
    return qemu::Command(words.at(0), std::move(arguments), qemu::CommandClass::device_add);
}

std::vector<std::string> qmp_words(std::string_view line) {
    std::vector<std::string> words;
    std::string word;
    bool in_word = false;
    int depth = 0;
    char quote = 0;
    for (std::size_t i = 0; i < line.size(); ++i) {
        const char c = line[i];
        if (quote) {
            const bool escaped = c == '\\' && quote == '"' && i + 1 < line.size();
            if (quote == '"' || c != quote)
                word += c;
            if (escaped)
                word += line[++i];
            else if (c == quote)
                quote = 0;
        } else if ((c == ' ' || c == '\t' || c == '\r' || c == '\n') && depth == 0) {
            if (std::exchange(in_word, false))
                words.push_back(std::exchange(word, {}));
        } else {
            in_word = true;
            if (c == '"' || (c == '\'' && depth == 0))
                quote = c;
            depth += c == '{' || c == '[' ? 1 : c == '}' || c == ']' ? -1 : 0;
            if (c != '\'' || depth > 0)
                word += c;
        }
    }
    if (quote || depth > 0)
        throw Failure(Errc::invalid_argument,
                      quote ? std::string("a quote (") + quote + ") is not closed"
                            : std::string("a bracket is not closed"));
    if (in_word)
        words.push_back(std::move(word));
    return words;
}

std::optional<qemu::Command> qmp_line(std::string_view line) {
    line = trim(line);
    if (line.empty() || line.starts_with('#'))
        return std::nullopt;
    if (!line.starts_with('{'))
        return qmp_command(qmp_words(line));
    const auto message = value_of(line);
    const auto* object = message.if_object();
    const auto* name = object ? object->if_contains("execute") : nullptr;
    if (!name || !name->is_string())
        throw Failure(Errc::invalid_argument, quoted(line) + " is no QMP command")
            .remedy("it must have a member \"execute\" that is a string");
    qemu::Command command(std::string(name->get_string()), {}, qemu::CommandClass::device_add);
    if (const auto* arguments = object->if_contains("arguments")) {
        if (!arguments->is_object())
            throw Failure(Errc::invalid_argument, "\"arguments\" is no object");
        command.arguments = arguments->get_object();
    }
    return command;
}

} // namespace kata_vfio::cli
