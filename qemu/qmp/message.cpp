// SPDX-License-Identifier: Apache-2.0
#include "qemu/qmp/message.hpp"

#include <boost/json/parse.hpp>

namespace kata_vfio::qemu {
namespace json = boost::json;
namespace {

std::string as_text(const json::object& object, std::string_view key) {
    const auto* value = object.if_contains(key);
    const auto* text = value ? value->if_string() : nullptr;
    return text ? std::string(*text) : std::string();
}

std::int64_t as_integer(const json::object& object, std::string_view key, std::int64_t absent) {
    const auto* value = object.if_contains(key);
    if (value && value->is_int64())
        return value->get_int64();
    return absent;
}

const json::object* as_object(const json::object& object, std::string_view key) {
    const auto* value = object.if_contains(key);
    return value ? value->if_object() : nullptr;
}

Greeting greeting(const json::object& qmp) {
    Greeting out;
    if (const auto* version = as_object(qmp, "version")) {
        if (const auto* numbers = as_object(*version, "qemu")) {
            out.major = static_cast<int>(as_integer(*numbers, "major", 0));
            out.minor = static_cast<int>(as_integer(*numbers, "minor", 0));
            out.micro = static_cast<int>(as_integer(*numbers, "micro", 0));
        }
        out.package = as_text(*version, "package");
    }
    const auto* list = qmp.if_contains("capabilities");
    if (list && list->is_array())
        for (const auto& name : list->get_array())
            if (name.is_string())
                out.capabilities.emplace_back(name.get_string());
    return out;
}

Event make_event(const json::object& message) {
    Event out;
    out.name = as_text(message, "event");
    if (const auto* data = as_object(message, "data"))
        out.data = *data;
    if (const auto* time = as_object(message, "timestamp")) {
        out.seconds = as_integer(*time, "seconds", -1);
        out.microseconds = as_integer(*time, "microseconds", -1);
    }
    const auto* synthesised = message.if_contains("synthesised"); // of a proxy of ours
    out.synthesised = synthesised && *synthesised == true;
    return out;
}

BadMessage bad(std::string why, std::string_view text) {
    return {std::move(why), std::string(text.substr(0, 256)), std::nullopt};
}

} // namespace

std::string Greeting::version() const {
    auto text = std::to_string(major) + '.' + std::to_string(minor) + '.' + std::to_string(micro);
    if (!package.empty())
        text += " (" + package + ')';
    return text;
}

std::string_view Event::text(std::string_view key) const noexcept {
    const auto* value = data.if_contains(key);
    const auto* text = value ? value->if_string() : nullptr;
    return text ? std::string_view(*text) : std::string_view();
}

json::object event_json(const Event& event) {
    json::object out{
        {"timestamp", {{"seconds", event.seconds}, {"microseconds", event.microseconds}}},
        {"event", event.name}};
    if (!event.data.empty())
        out["data"] = event.data;
    if (event.synthesised)
        out["synthesised"] = true;
    return out;
}

Message parse_message(std::string_view text) {
    json::parse_options options;
    options.max_depth = 1024;
    json::error_code error;
    auto value = json::parse(text, error, {}, options);
    if (error)
        return bad("not JSON: " + error.message(), text);
    auto* object = value.if_object();
    if (!object)
        return bad("not a JSON object", text);

    std::optional<json::value> id;
    if (auto* member = object->if_contains("id"))
        id = std::move(*member);

    if (const auto* qmp = as_object(*object, "QMP"))
        return greeting(*qmp);
    if (!as_text(*object, "event").empty())
        return make_event(*object);
    if (const auto* error_member = as_object(*object, "error"))
        return ErrorReply{std::move(id), as_text(*error_member, "class"),
                          as_text(*error_member, "desc")};
    if (auto* result = object->if_contains("return"))
        return Reply{std::move(id), std::move(*result)};
    auto out = bad("neither greeting, reply, error nor event", text);
    out.id = std::move(id);
    return out;
}

} // namespace kata_vfio::qemu
