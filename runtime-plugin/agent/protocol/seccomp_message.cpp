// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/agent/protocol/seccomp_message.hpp"

#include "runtime-plugin/agent/protocol/frame.hpp"
#include "runtime-plugin/agent/protocol/json_reader.hpp"

namespace kata_vfio::agent {
namespace json = boost::json;
namespace {

constexpr std::uint32_t seccomp_flags = 7; // TSYNC, LOG, SPEC_ALLOW
constexpr std::string_view hex_digits = "0123456789abcdef";

std::string to_hex(std::string_view bytes) {
    std::string text;
    text.reserve(2 * bytes.size());
    for (const char c : bytes) {
        const auto byte = static_cast<unsigned char>(c);
        text.push_back(hex_digits[byte >> 4]);
        text.push_back(hex_digits[byte & 15]);
    }
    return text;
}

std::string from_hex(std::string_view text) {
    std::string bytes;
    bytes.reserve(text.size() / 2);
    for (std::size_t i = 0; i + 1 < text.size(); i += 2) {
        const auto high = hex_digits.find(text[i]), low = hex_digits.find(text[i + 1]);
        if (high == hex_digits.npos || low == hex_digits.npos)
            throw ProtocolError("a seccomp program that is not hexadecimal");
        bytes.push_back(static_cast<char>(high << 4 | low));
    }
    return bytes;
}

} // namespace

SeccompFilter read_seccomp(const json::object& object) {
    const JsonReader in(object);
    SeccompFilter filter;
    filter.flags = static_cast<std::uint32_t>(in.number("flags", seccomp_flags));
    const auto text = in.needed_text("program", 2 * SeccompFilter::max_size);
    if (text.size() % (2 * SeccompFilter::instruction) != 0)
        throw ProtocolError("a seccomp program that ends within an instruction");
    filter.program = from_hex(text);
    return filter;
}

json::object write_seccomp(const SeccompFilter& filter) {
    return {{"flags", filter.flags}, {"program", to_hex(filter.program)}};
}

} // namespace kata_vfio::agent
