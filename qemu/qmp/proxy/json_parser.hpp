// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "qemu/qmp/proxy/json_lexer.hpp"

#include <boost/json/value.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kata_vfio::qemu {

/// A token's place in the text of its message.
struct JsonToken {
    JsonTokenType type;
    std::uint32_t begin;
    std::uint32_t end;
};

struct ParsedJson {
    boost::json::value value;
    /// Why it is no value, in QEMU's words without "JSON parse error, "; nullopt: it is one.
    std::optional<std::string> error;
    /// First and one past the last token of the outermost object's member "id".
    std::optional<std::pair<std::size_t, std::size_t>> id;
};

/// The tokens of one message -> its value, with QEMU's own complaints (measured on 7.2): the first
/// one counts. A number beyond double is infinity, as strtod has it. Recurses as deep as the tokens
/// nest, which the caller has limited.
ParsedJson parse_json_tokens(const std::vector<JsonToken>& tokens, std::string_view text);

} // namespace kata_vfio::qemu
