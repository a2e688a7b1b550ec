// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/cli/qmp_schema.hpp"

#include "config/base/text.hpp"
#include "runtime-plugin/cli/json_text.hpp"

#include <boost/json/array.hpp>

#include <algorithm>

namespace kata_vfio::cli {
namespace json = boost::json;
namespace {

const json::array* list_at(const json::object& object, std::string_view key) {
    const auto* value = object.if_contains(key);
    return value ? value->if_array() : nullptr;
}

} // namespace

QmpSchema::QmpSchema(const json::value& schema) {
    if (const auto* list = schema.if_array())
        for (const auto& each : *list)
            if (const auto* object = each.if_object())
                entries_.emplace(string_at(*object, "name"), *object);
}

const json::object* QmpSchema::entry(std::string_view name) const {
    const auto found = entries_.find(name);
    return found == entries_.end() ? nullptr : &found->second;
}

std::vector<std::string> QmpSchema::commands() const {
    std::vector<std::string> names;
    for (const auto& [name, object] : entries_)
        if (string_at(object, "meta-type") == "command")
            names.push_back(name);
    return names;
}

/// Name and type, those of all variants included: which one it will be is not known while typing.
std::vector<std::pair<std::string, std::string>>
QmpSchema::members(const json::object& type) const {
    std::vector<std::pair<std::string, std::string>> all;
    if (const auto* list = list_at(type, "members"))
        for (const auto& each : *list)
            if (const auto* member = each.if_object())
                all.emplace_back(string_at(*member, "name"), string_at(*member, "type"));
    if (const auto* variants = list_at(type, "variants"))
        for (const auto& each : *variants)
            if (const auto* variant = each.if_object())
                if (const auto* inner = entry(string_at(*variant, "type")))
                    for (auto& member : members(*inner))
                        all.push_back(std::move(member));
    return all;
}

std::vector<std::string> QmpSchema::values(std::string_view type) const {
    const auto* object = entry(type);
    std::vector<std::string> all;
    if (!object)
        return all;
    if (string_at(*object, "meta-type") == "builtin" &&
        string_at(*object, "json-type") == "boolean")
        return {"false", "true"};
    if (string_at(*object, "meta-type") == "enum")
        if (const auto* list = list_at(*object, "values"))
            for (const auto& each : *list)
                if (each.is_string())
                    all.emplace_back(each.get_string());
    return all;
}

std::string QmpSchema::type_of(std::string_view command, std::string_view path) const {
    const auto* found = entry(command);
    if (!found || string_at(*found, "meta-type") != "command")
        return {};
    auto type = string_at(*found, "arg-type");
    if (path.empty())
        return type;
    for (const auto name : split(path, '.')) {
        const auto* object = entry(type);
        type.clear();
        if (object)
            for (const auto& [member, its_type] : members(*object))
                if (member == name)
                    type = its_type;
        if (type.empty())
            break;
    }
    return type;
}

std::vector<std::string> QmpSchema::completions(std::string_view line) const {
    std::vector<std::string> words;
    for (const auto word : split(line, ' '))
        if (!word.empty())
            words.emplace_back(word);
    if (words.empty() || line.ends_with(' '))
        words.emplace_back();
    const auto last = words.back();
    std::vector<std::string> all;
    if (words.size() == 1) {
        all = commands();
    } else if (const auto equals = last.find('='); equals != last.npos) {
        const auto name = last.substr(0, equals);
        for (const auto& value : values(type_of(words[0], name)))
            all.push_back(name + "=" + value);
    } else {
        const auto dot = last.rfind('.');
        const auto outer = dot == last.npos ? std::string() : last.substr(0, dot);
        if (const auto* type = entry(type_of(words[0], outer)))
            for (const auto& [name, its_type] : members(*type))
                all.push_back((outer.empty() ? "" : outer + ".") + name + "=");
        std::erase_if(all, [&](const std::string& name) {
            return std::any_of(words.begin() + 1, words.end() - 1,
                               [&](const std::string& word) { return word.starts_with(name); });
        });
    }
    std::erase_if(all, [&](const std::string& word) { return !word.starts_with(last); });
    std::sort(all.begin(), all.end());
    all.erase(std::unique(all.begin(), all.end()), all.end());
    return all;
}

} // namespace kata_vfio::cli
