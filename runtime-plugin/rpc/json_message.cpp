// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/rpc/json_message.hpp"

#include <boost/json.hpp>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <algorithm>
#include <limits>

namespace kata_vfio::rpc {
namespace json = boost::json;
namespace pb = google::protobuf;
namespace {

using Type = pb::FieldDescriptor::CppType;

[[noreturn]] void refuse(const pb::FieldDescriptor& field, std::string_view why) {
    throw std::invalid_argument(field.full_name() + " " + std::string(why));
}

/// "STATE_" of enum State, "ATTACHMENT_KIND_" of AttachmentKind.
std::string prefix(const pb::EnumDescriptor& type) {
    std::string text;
    for (const char c : type.name()) {
        const bool upper = c >= 'A' && c <= 'Z';
        if (upper && !text.empty())
            text += '_';
        text += upper ? c : static_cast<char>(c - 'a' + 'A');
    }
    return text + '_';
}

std::string upper(std::string_view word) {
    std::string text(word);
    std::transform(text.begin(), text.end(), text.begin(),
                   [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
    return text;
}

std::string lower(std::string_view word) {
    std::string text(word);
    std::transform(text.begin(), text.end(), text.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    return text;
}

/// 0, UNSPECIFIED, for a word of a younger plugin.
int number_of(const pb::EnumDescriptor& type, std::string_view word) {
    const auto* value = type.FindValueByName(prefix(type) + upper(word));
    return value ? value->number() : 0;
}

json::value word_of(const pb::EnumDescriptor& type, int number) {
    const auto* value = type.FindValueByNumber(number);
    if (!value)
        return number; // of a younger service
    return json::value(lower(value->name().substr(prefix(type).size())));
}

template <class T>
T number(const pb::FieldDescriptor& field, const json::value& value) {
    boost::system::error_code error;
    const auto given = value.to_number<T>(error);
    if (error)
        refuse(field, "is no number that fits");
    return given;
}

std::string text(const pb::FieldDescriptor& field, const json::value& value) {
    if (!value.is_string())
        refuse(field, "is no text");
    return std::string(value.get_string());
}

struct Filler {
    std::vector<std::string>* unknown;

    void fill(pb::Message& message, const json::object& object, const std::string& path) const {
        const auto& type = *message.GetDescriptor();
        for (const auto& member : object) {
            const std::string name(member.key());
            if (const auto* field = type.FindFieldByName(name))
                set(message, *field, member.value(), path + name);
            else if (const auto* foreign = type.FindFieldByName(name + "_json"))
                message.GetReflection()->SetString(&message, foreign,
                                                   json::serialize(member.value()));
            else if (unknown)
                unknown->push_back(path + name);
        }
    }

    void set(pb::Message& message, const pb::FieldDescriptor& field, const json::value& value,
             const std::string& path) const {
        if (value.is_null())
            return;
        if (field.is_map())
            return set_map(message, field, value);
        if (!field.is_repeated())
            return set_one(message, field, value, path);
        if (!value.is_array())
            refuse(field, "is no array");
        std::size_t index = 0;
        for (const auto& element : value.get_array())
            add(message, field, element, path + "[" + std::to_string(index++) + "]");
    }

    static void set_map(pb::Message& message, const pb::FieldDescriptor& field,
                        const json::value& value) {
        if (!value.is_object())
            refuse(field, "is no object");
        for (const auto& member : value.get_object()) {
            auto& entry = *message.GetReflection()->AddMessage(&message, &field);
            const auto& key = *field.message_type()->map_key();
            const auto& mapped = *field.message_type()->map_value();
            entry.GetReflection()->SetString(&entry, &key, std::string(member.key()));
            entry.GetReflection()->SetString(&entry, &mapped, text(mapped, member.value()));
        }
    }

    void set_one(pb::Message& message, const pb::FieldDescriptor& field, const json::value& value,
                 const std::string& path) const {
        const auto& reflection = *message.GetReflection();
        switch (field.cpp_type()) {
        case Type::CPPTYPE_STRING:
            return reflection.SetString(&message, &field, text(field, value));
        case Type::CPPTYPE_BOOL:
            if (!value.is_bool())
                refuse(field, "is neither true nor false");
            return reflection.SetBool(&message, &field, value.get_bool());
        case Type::CPPTYPE_INT32:
            return reflection.SetInt32(&message, &field, number<std::int32_t>(field, value));
        case Type::CPPTYPE_UINT32:
            return reflection.SetUInt32(&message, &field, number<std::uint32_t>(field, value));
        case Type::CPPTYPE_INT64:
            return reflection.SetInt64(&message, &field, number<std::int64_t>(field, value));
        case Type::CPPTYPE_UINT64:
            return reflection.SetUInt64(&message, &field, number<std::uint64_t>(field, value));
        case Type::CPPTYPE_ENUM:
            return reflection.SetEnumValue(&message, &field,
                                           number_of(*field.enum_type(), text(field, value)));
        case Type::CPPTYPE_MESSAGE:
            if (!value.is_object())
                refuse(field, "is no object");
            return fill(*reflection.MutableMessage(&message, &field), value.get_object(),
                        path + ".");
        default:
            refuse(field, "is of a type the API does not use");
        }
    }

    void add(pb::Message& message, const pb::FieldDescriptor& field, const json::value& value,
             const std::string& path) const {
        const auto& reflection = *message.GetReflection();
        if (field.cpp_type() == Type::CPPTYPE_STRING)
            return reflection.AddString(&message, &field, text(field, value));
        if (field.cpp_type() != Type::CPPTYPE_MESSAGE || !value.is_object())
            refuse(field, "is no object");
        fill(*reflection.AddMessage(&message, &field), value.get_object(), path + ".");
    }
};

json::value one(const pb::Message& message, const pb::FieldDescriptor& field) {
    const auto& reflection = *message.GetReflection();
    switch (field.cpp_type()) {
    case Type::CPPTYPE_STRING:
        return json::value(reflection.GetString(message, &field));
    case Type::CPPTYPE_BOOL:
        return reflection.GetBool(message, &field);
    case Type::CPPTYPE_INT32:
        return reflection.GetInt32(message, &field);
    case Type::CPPTYPE_UINT32:
        return reflection.GetUInt32(message, &field);
    case Type::CPPTYPE_INT64:
        return reflection.GetInt64(message, &field);
    case Type::CPPTYPE_UINT64:
        return reflection.GetUInt64(message, &field);
    case Type::CPPTYPE_ENUM:
        return word_of(*field.enum_type(), reflection.GetEnumValue(message, &field));
    case Type::CPPTYPE_MESSAGE:
        return to_json(reflection.GetMessage(message, &field));
    default:
        refuse(field, "is of a type the API does not use");
    }
}

json::value all(const pb::Message& message, const pb::FieldDescriptor& field) {
    const auto& reflection = *message.GetReflection();
    json::array array;
    json::object object;
    for (int i = 0; i < reflection.FieldSize(message, &field); ++i) {
        if (field.cpp_type() == Type::CPPTYPE_STRING) {
            array.emplace_back(reflection.GetRepeatedString(message, &field, i));
            continue;
        }
        const auto& element = reflection.GetRepeatedMessage(message, &field, i);
        if (!field.is_map()) {
            array.emplace_back(to_json(element));
            continue;
        }
        const auto entry = to_json(element);
        object[entry.at("key").as_string()] = entry.at("value");
    }
    return field.is_map() ? json::value(std::move(object)) : json::value(std::move(array));
}

constexpr std::string_view foreign = "_json";

json::value parse_deep(std::string_view text) {
    json::parse_options options;
    options.max_depth = 1024 + 16; // of a message of QEMU's, and of ours around it
    return json::parse(text, {}, options);
}

} // namespace

json::object parse(std::string_view text) {
    return parse_deep(text).as_object();
}

void fill(pb::Message& message, const json::object& object, std::vector<std::string>* unknown) {
    Filler{unknown}.fill(message, object, "");
}

json::object to_json(const pb::Message& message) {
    const auto& type = *message.GetDescriptor();
    const bool only_its_own = type.name() == "PlanStep";
    json::object object;
    for (int i = 0; i < type.field_count(); ++i) {
        const auto& field = *type.field(i);
        const auto& name = field.name();
        if (field.is_repeated()) {
            object[name] = all(message, field);
            continue;
        }
        const bool absent =
            field.has_presence() && !message.GetReflection()->HasField(message, &field);
        if (absent && only_its_own)
            continue;
        if (absent)
            object[name] = nullptr;
        else if (name.ends_with(foreign))
            object[name.substr(0, name.size() - foreign.size())] =
                parse_deep(message.GetReflection()->GetString(message, &field));
        else
            object[name] = one(message, field);
    }
    return object;
}

} // namespace kata_vfio::rpc
