// SPDX-License-Identifier: Apache-2.0
#include "qemu/qmp/proxy/json_text.hpp"

#include <array>
#include <cstdio>

namespace kata_vfio::qemu {
namespace json = boost::json;
namespace {

void append_unit(std::string& out, int code) {
    std::array<char, 8> text{};
    const int size = std::snprintf(text.data(), text.size(), "\\u%04X", code);
    out.append(text.data(), static_cast<std::size_t>(size));
}

void append_escaped(std::string& out, int code) {
    if (code > 0xFFFF) {
        append_unit(out, 0xD800 + ((code - 0x10000) >> 10));
        append_unit(out, 0xDC00 + ((code - 0x10000) & 0x3FF));
    } else {
        append_unit(out, code);
    }
}

void append_character(std::string& out, int code) {
    switch (code) {
    case '"':
        out += "\\\"";
        break;
    case '\\':
        out += "\\\\";
        break;
    case '\b':
        out += "\\b";
        break;
    case '\f':
        out += "\\f";
        break;
    case '\n':
        out += "\\n";
        break;
    case '\r':
        out += "\\r";
        break;
    case '\t':
        out += "\\t";
        break;
    default:
        if (code < 0)
            append_unit(out, 0xFFFD);
        else if (code < 0x20 || code >= 0x7F)
            append_escaped(out, code);
        else
            out += static_cast<char>(code);
    }
}

void append_double(std::string& out, double number) {
    std::array<char, 32> text{};
    // QEMU's own format (json_writer_double), so that 0.1 comes out as the same digits.
    const int size = std::snprintf(text.data(), text.size(), "%.17g", number);
    out.append(text.data(), static_cast<std::size_t>(size));
}

} // namespace

bool is_unicode_character(int code) noexcept {
    if (code < 0 || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF))
        return false;
    return !(code >= 0xFDD0 && code <= 0xFDEF) && (code & 0xFFFE) != 0xFFFE;
}

int take_utf8(std::string_view& text) noexcept {
    const auto first = static_cast<unsigned char>(text.front());
    text.remove_prefix(1);
    if (first < 0x80)
        return first;
    if (first >= 0xFE || first < 0xC0)
        return -1;
    int length = 2;
    while (first & (0x80 >> length))
        ++length;
    int code = first & ((0x80 >> length) - 1);
    for (int i = 1; i < length; ++i) {
        if (text.empty() || (static_cast<unsigned char>(text.front()) & 0xC0) != 0x80)
            return -1;
        // Six-byte sequences fit into 31 bits.
        code = (code << 6) | (static_cast<unsigned char>(text.front()) & 0x3F);
        text.remove_prefix(1);
    }
    constexpr std::array<int, 7> least{0, 0, 0x80, 0x800, 0x10000, 0x200000, 0x4000000};
    const bool overlong = code < least[static_cast<std::size_t>(length)];
    if (overlong && !(code == 0 && length == 2))
        return -1;
    return is_unicode_character(code) ? code : -1;
}

void append_utf8(std::string& out, int code) {
    const auto put = [&out](int byte) { out += static_cast<char>(byte); };
    const auto tail = [&](int shift) { put(0x80 | ((code >> shift) & 0x3F)); };
    if (code < 0x80) {
        put(code);
    } else if (code < 0x800) {
        put(0xC0 | (code >> 6));
        tail(0);
    } else if (code < 0x10000) {
        put(0xE0 | (code >> 12));
        tail(6);
        tail(0);
    } else {
        put(0xF0 | (code >> 18));
        tail(12);
        tail(6);
        tail(0);
    }
}

void append_qemu_string(std::string& out, std::string_view text) {
    out += '"';
    while (!text.empty())
        append_character(out, take_utf8(text));
    out += '"';
}

void append_qemu_json(std::string& out, const json::value& value) {
    const char* between = "";
    switch (value.kind()) {
    case json::kind::null:
        out += "null";
        break;
    case json::kind::bool_:
        out += value.get_bool() ? "true" : "false";
        break;
    case json::kind::int64:
        out += std::to_string(value.get_int64());
        break;
    case json::kind::uint64:
        out += std::to_string(value.get_uint64());
        break;
    case json::kind::double_:
        append_double(out, value.get_double());
        break;
    case json::kind::string:
        append_qemu_string(out, value.get_string());
        break;
    case json::kind::array:
        out += '[';
        for (const auto& element : value.get_array()) {
            out += between;
            append_qemu_json(out, element);
            between = ", ";
        }
        out += ']';
        break;
    case json::kind::object:
        out += '{';
        for (const auto& [key, member] : value.get_object()) {
            out += between;
            append_qemu_string(out, key);
            out += ": ";
            append_qemu_json(out, member);
            between = ", ";
        }
        out += '}';
        break;
    }
}

} // namespace kata_vfio::qemu
