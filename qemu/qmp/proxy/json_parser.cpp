// SPDX-License-Identifier: Apache-2.0
#include "qemu/qmp/proxy/json_parser.hpp"

#include "qemu/qmp/proxy/json_text.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include <charconv>
#include <cstdlib>

namespace kata_vfio::qemu {
namespace json = boost::json;
namespace {

constexpr auto premature = "premature EOI";
constexpr auto no_value = "expecting value";
constexpr std::size_t longest = 1023; ///< QEMU prints it into a buffer

/// Four hexadecimal digits at the front of `text`; -1 when they are not there.
int hex4(std::string_view text) {
    int code = 0;
    if (text.size() < 4)
        return -1;
    const auto [end, error] = std::from_chars(text.data(), text.data() + 4, code, 16);
    // from_chars takes a minus sign.
    return error == std::errc() && end == text.data() + 4 && text[0] != '-' ? code : -1;
}

class Parser {
  public:
    Parser(const std::vector<JsonToken>& tokens, std::string_view text)
        : tokens_(tokens), text_(text) {}

    ParsedJson parse() {
        auto parsed = value(0);
        ParsedJson out;
        if (parsed)
            out.value = std::move(*parsed);
        out.error = std::move(error_);
        out.id = id_;
        return out;
    }

  private:
    using Value = std::optional<json::value>;

    std::nullopt_t fail(std::string why) {
        if (why.size() > longest)
            why.resize(longest);
        if (!error_)
            error_ = std::move(why);
        return std::nullopt;
    }

    const JsonToken* peek() const { return at_ < tokens_.size() ? &tokens_[at_] : nullptr; }
    const JsonToken* pop() { return at_ < tokens_.size() ? &tokens_[at_++] : nullptr; }
    std::string_view text(const JsonToken& token) const {
        return text_.substr(token.begin, token.end - token.begin);
    }

    Value value(std::size_t depth) {
        const auto* token = pop();
        if (!token)
            return fail(premature);
        switch (token->type) {
        case JsonTokenType::left_brace:
            return object(depth + 1);
        case JsonTokenType::left_bracket:
            return array(depth + 1);
        case JsonTokenType::integer:
            return integer(text(*token));
        case JsonTokenType::real:
            return std::strtod(std::string(text(*token)).c_str(), nullptr);
        case JsonTokenType::string:
            return string(text(*token));
        case JsonTokenType::keyword:
            return keyword(text(*token));
        default:
            return fail(no_value);
        }
    }

    Value keyword(std::string_view word) {
        if (word == "true")
            return true;
        if (word == "false")
            return false;
        if (word == "null")
            return nullptr;
        return fail("invalid keyword '" + std::string(word) + "'");
    }

    static json::value integer(std::string_view digits) {
        const auto* end = digits.data() + digits.size();
        std::int64_t number = 0;
        if (std::from_chars(digits.data(), end, number).ec == std::errc())
            return number;
        std::uint64_t large = 0;
        if (std::from_chars(digits.data(), end, large).ec == std::errc())
            return large;
        return std::strtod(std::string(digits).c_str(), nullptr);
    }

    Value string(std::string_view quoted) {
        std::string out;
        auto rest = quoted.substr(1, quoted.size() - 2);
        while (!rest.empty()) {
            if (rest.front() == '\\') {
                if (!escape(rest, out, quoted.back()))
                    return std::nullopt;
                continue;
            }
            const int code = take_utf8(rest);
            if (code < 0)
                return fail("invalid UTF-8 sequence in string");
            append_utf8(out, code);
        }
        return json::string(out);
    }

    /// The escape at the front of `rest`, which ends where the string does.
    bool escape(std::string_view& rest, std::string& out, char quote) {
        constexpr std::string_view from = "\"'\\/bfnrt", to = "\"'\\/\b\f\n\r\t";
        const char which = rest[1]; // the lexer ends no string behind a backslash
        if (which == 'u')
            return unicode_escape(rest, out, quote);
        const auto known = from.find(which);
        if (known == from.npos) {
            fail("invalid escape sequence in string");
            return false;
        }
        out += to[known];
        rest.remove_prefix(2);
        return true;
    }

    bool unicode_escape(std::string_view& rest, std::string& out, char quote) {
        std::size_t length = 6;
        int code = hex4(rest.substr(2));
        if (code >= 0xD800 && code <= 0xDBFF && rest.substr(6).starts_with("\\u")) {
            const int trailing = hex4(rest.substr(8));
            const bool pair = trailing >= 0xDC00 && trailing <= 0xDFFF;
            code = pair ? 0x10000 + ((code & 0x3FF) << 10) + (trailing & 0x3FF) : -1;
            length = pair ? 12 : 6;
        }
        if (!is_unicode_character(code)) {
            auto shown = std::string(rest.substr(0, 6));
            if (rest.size() < 6) // QEMU shows six bytes of the token, its closing quote among them
                shown += quote;
            fail(shown + " is not a valid Unicode character");
            return false;
        }
        append_utf8(out, code);
        rest.remove_prefix(length);
        return true;
    }

    /// Behind the bracket. `item` takes one element or pair; false when it has complained.
    template <class Item>
    bool items(JsonTokenType closing, const char* separator_missing, Item item) {
        const auto* next = peek();
        if (!next)
            return fail(premature), false;
        if (next->type == closing)
            return ++at_, true;
        for (;;) {
            if (!item())
                return false;
            const auto* token = pop();
            if (!token)
                return fail(premature), false;
            if (token->type == closing)
                return true;
            if (token->type != JsonTokenType::comma)
                return fail(separator_missing), false;
        }
    }

    Value array(std::size_t depth) {
        json::array out;
        const auto element = [&] {
            auto parsed = value(depth);
            if (parsed)
                out.push_back(std::move(*parsed));
            return parsed.has_value();
        };
        if (!items(JsonTokenType::right_bracket, "expected separator in list", element))
            return std::nullopt;
        return json::value(std::move(out));
    }

    Value object(std::size_t depth) {
        json::object out;
        const auto member = [&] { return pair(out, depth); };
        if (!items(JsonTokenType::right_brace, "expected separator in dict", member))
            return std::nullopt;
        return json::value(std::move(out));
    }

    bool pair(json::object& out, std::size_t depth) {
        const auto key = value(depth);
        if (!key || !key->is_string())
            return fail("key is not a string in object"), false;
        const auto* token = pop();
        if (!token)
            return fail(premature), false;
        if (token->type != JsonTokenType::colon)
            return fail("missing : in object pair"), false;
        const auto begin = at_;
        auto parsed = value(depth);
        if (!parsed)
            return false;
        if (!out.emplace(key->get_string(), std::move(*parsed)).second)
            return fail("duplicate key"), false;
        if (depth == 1 && key->get_string() == "id")
            id_.emplace(begin, at_);
        return true;
    }

    const std::vector<JsonToken>& tokens_;
    std::string_view text_;
    std::size_t at_ = 0;
    std::optional<std::string> error_;
    std::optional<std::pair<std::size_t, std::size_t>> id_;
};

} // namespace

ParsedJson parse_json_tokens(const std::vector<JsonToken>& tokens, std::string_view text) {
    return Parser(tokens, text).parse();
}

} // namespace kata_vfio::qemu
