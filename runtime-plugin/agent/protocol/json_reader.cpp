// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/agent/protocol/json_reader.hpp"

#include "runtime-plugin/agent/protocol/message.hpp"

#include <boost/json.hpp>

namespace kata_vfio::agent {
namespace json = boost::json;
namespace {

[[noreturn]] void wrong(std::string_view name, std::string_view what) {
    throw ProtocolError("member '" + std::string(name) + "' " + std::string(what));
}

std::string checked_text(const json::value& value, std::string_view name, std::size_t most) {
    const auto* text = value.if_string();
    if (!text)
        wrong(name, "is no text");
    if (text->size() > most)
        wrong(name, "is too long");
    // It ends up in system calls, which would see its beginning only.
    if (std::string_view(*text).find('\0') != std::string_view::npos)
        wrong(name, "has a zero byte in it");
    return std::string(*text);
}

std::uint64_t checked_number(const json::value& value, std::string_view name, std::uint64_t most) {
    boost::system::error_code ec;
    const auto number = value.is_number() && !value.is_double()
                            ? value.to_number<std::uint64_t>(ec)
                            : (ec = json::make_error_code(json::error::not_number), 0);
    if (ec || number > most)
        wrong(name, "is no number of its range");
    return number;
}

} // namespace

const json::value* JsonReader::member(std::string_view name) const {
    const auto* value = object_.if_contains(name);
    return value && !value->is_null() ? value : nullptr;
}
const json::array* JsonReader::list(std::string_view name) const {
    const auto* value = member(name);
    if (!value)
        return nullptr;
    const auto* array = value->if_array();
    if (!array)
        wrong(name, "is no list");
    if (array->size() > max_items)
        wrong(name, "is too long");
    return array;
}

std::string JsonReader::text(std::string_view name, std::size_t most) const {
    const auto* value = member(name);
    return value ? checked_text(*value, name, most) : std::string();
}
std::string JsonReader::needed_text(std::string_view name, std::size_t most) const {
    auto found = text(name, most);
    if (found.empty())
        wrong(name, "is missing or empty");
    return found;
}
std::string JsonReader::needed_name(std::string_view name) const {
    auto found = text(name);
    if (!is_name(found))
        wrong(name, "is no single path component");
    return found;
}
std::string JsonReader::needed_path(std::string_view name) const {
    auto found = needed_text(name, 4095);
    if (found.front() != '/')
        wrong(name, "is no absolute path");
    return found;
}
std::uint64_t JsonReader::number(std::string_view name, std::uint64_t most) const {
    const auto* value = member(name);
    return value ? checked_number(*value, name, most) : 0;
}
std::int64_t JsonReader::integer(std::string_view name, std::int64_t least,
                                 std::int64_t most) const {
    const auto* value = member(name);
    if (!value)
        return 0;
    boost::system::error_code ec;
    const auto found = value->is_number() && !value->is_double()
                           ? value->to_number<std::int64_t>(ec)
                           : (ec = json::make_error_code(json::error::not_number), 0);
    if (ec || found < least || found > most)
        wrong(name, "is no number of its range");
    return found;
}
bool JsonReader::flag(std::string_view name) const {
    const auto* value = member(name);
    if (!value)
        return false;
    if (!value->is_bool())
        wrong(name, "is neither true nor false");
    return value->get_bool();
}
std::vector<std::string> JsonReader::texts(std::string_view name) const {
    std::vector<std::string> all;
    if (const auto* array = list(name))
        for (const auto& item : *array)
            all.push_back(checked_text(item, name, max_text));
    return all;
}
std::vector<std::uint32_t> JsonReader::numbers(std::string_view name) const {
    std::vector<std::uint32_t> all;
    if (const auto* array = list(name))
        for (const auto& item : *array)
            all.push_back(static_cast<std::uint32_t>(checked_number(item, name, UINT32_MAX)));
    return all;
}
const json::object* JsonReader::object(std::string_view name) const {
    const auto* value = member(name);
    if (value && !value->is_object())
        wrong(name, "is no object");
    return value ? value->if_object() : nullptr;
}
const json::object& JsonReader::needed_object(std::string_view name) const {
    const auto* found = object(name);
    if (!found)
        wrong(name, "is missing");
    return *found;
}
void JsonReader::each_object(std::string_view name,
                             const std::function<void(const json::object&)>& use) const {
    const auto* array = list(name);
    if (!array)
        return;
    for (const auto& item : *array) {
        if (!item.is_object())
            wrong(name, "has what is no object in it");
        use(item.get_object());
    }
}

json::object parse_object(std::string_view payload) {
    json::parse_options options;
    options.max_depth = 16;
    boost::system::error_code ec;
    auto value = json::parse({payload.data(), payload.size()}, ec, {}, options);
    if (ec)
        throw ProtocolError("no JSON: " + ec.message());
    if (!value.is_object())
        throw ProtocolError("JSON, but no object");
    return std::move(value.get_object());
}

} // namespace kata_vfio::agent
