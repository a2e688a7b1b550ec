// SPDX-License-Identifier: Apache-2.0
#include "config/show.hpp"

#include "config/keys.hpp"

#include <boost/json.hpp>

#include <algorithm>
#include <type_traits>

namespace kata_vfio::config {
namespace json = boost::json;
namespace {

json::value value_of(const Slot& slot) {
    return std::visit(
        [](const auto* value) -> json::value {
            using Value = std::remove_cvref_t<decltype(*value)>;
            if constexpr (std::is_same_v<Value, std::vector<std::string>>)
                return json::array(value->begin(), value->end());
            else if constexpr (std::is_same_v<Value, std::chrono::milliseconds>)
                return value->count();
            else
                return json::value_from(*value);
        },
        slot);
}

void put_position(json::object& object, const Position& at) {
    object["file"] = at.file;
    if (at.line != 0) {
        object["line"] = at.line;
        object["column"] = at.column;
    }
}

// A file's name may hold anything; a line break would end the comment and begin TOML.
std::string one_line(std::string text) {
    std::ranges::replace_if(
        text, [](unsigned char c) { return c < 0x20 || c == 0x7f; }, '?');
    return text;
}

std::string origin_comment(const Configuration& c, const std::string& key) {
    const auto found = c.where.find(key);
    if (found == c.where.end())
        return "default";
    std::string text = found->second.at.str();
    const auto& overridden = found->second.overridden;
    for (auto earlier = overridden.rbegin(); earlier != overridden.rend(); ++earlier)
        text += ", over " + earlier->str();
    return one_line(text);
}

} // namespace

std::string show_toml(const Configuration& configuration) {
    auto copy = configuration;
    std::string text;
    for (const auto& file : configuration.files)
        text += "# read: " + one_line(file.string()) + "\n";
    for (const auto& warning : configuration.warnings)
        text += "# warning: " + one_line(warning.str()) + "\n";
    std::string_view table;
    for (const auto& key : keys()) {
        if (key.table != table) {
            table = key.table;
            text += (text.empty() ? "[" : "\n[") + std::string(table) + "]\n";
        }
        const auto unit =
            key.unit.empty() ? std::string() : std::string(" ").append(key.unit) + ",";
        text += std::string(key.name) + " = " + toml_literal(key.slot(copy)) + " #" + unit + " " +
                origin_comment(configuration, key.dotted()) + "\n";
    }
    return text;
}

json::value warnings_json(const std::vector<Warning>& warnings) {
    json::array rows;
    for (const auto& warning : warnings) {
        json::object row;
        put_position(row, warning.at);
        row["key"] = warning.key;
        row["text"] = warning.text;
        rows.push_back(std::move(row));
    }
    return rows;
}

json::value show_json(const Configuration& configuration) {
    auto copy = configuration;
    json::array files;
    for (const auto& file : configuration.files)
        files.emplace_back(file.string());
    json::object values;
    for (const auto& key : keys()) {
        json::object row;
        row["value"] = value_of(key.slot(copy));
        row["unit"] = json::string_view(key.unit);
        const auto found = configuration.where.find(key.dotted());
        row["default"] = found == configuration.where.end();
        if (found != configuration.where.end())
            put_position(row, found->second.at);
        auto& table = values[json::string_view(key.table)];
        if (table.is_null())
            table.emplace_object();
        table.as_object()[json::string_view(key.name)] = std::move(row);
    }
    json::object all;
    all["files"] = std::move(files);
    all["values"] = std::move(values);
    all["warnings"] = warnings_json(configuration.warnings);
    return all;
}

json::value findings_json(const std::vector<Finding>& findings) {
    json::array rows;
    for (const auto& finding : findings) {
        json::object row;
        row["code"] = json::string_view(name(finding.code));
        row["key"] = finding.key;
        put_position(row, finding.at);
        row["text"] = finding.text;
        row["remedy"] = finding.remedy;
        rows.push_back(std::move(row));
    }
    return rows;
}

} // namespace kata_vfio::config
