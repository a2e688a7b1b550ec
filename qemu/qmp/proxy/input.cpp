// SPDX-License-Identifier: Apache-2.0
#include "qemu/qmp/proxy/input.hpp"

#include "qemu/qmp/proxy/json_text.hpp"

#include <algorithm>
#include <utility>

namespace kata_vfio::qemu {
namespace {

bool can_be_echoed(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c < 0x7F; });
}

} // namespace

void ProxyInput::feed(std::string_view bytes) {
    for (const char byte : bytes)
        consume(static_cast<unsigned char>(byte));
}

std::optional<ProxyMessage> ProxyInput::next() {
    if (messages_.empty())
        return std::nullopt;
    auto message = std::move(messages_.front());
    messages_.pop_front();
    return message;
}

void ProxyInput::consume(unsigned char byte) {
    for (bool consumed = false; !consumed;) {
        const auto step = lexer_.step(byte);
        consumed = step.consumed;
        if (consumed)
            text_ += static_cast<char>(byte);
        if (step.token)
            token(*step.token);
        if (lexer_.between_tokens()) {
            if (tokens_.empty())
                text_.clear();
            token_begin_ = text_.size();
        }
    }
    if (text_.size() > limits_.max_bytes) {
        complain("JSON token size limit exceeded");
        // QEMU would go on in the middle of what was too long and complain for a while.
        lexer_.recover();
    }
}

void ProxyInput::count_nesting(JsonTokenType type) {
    if (type == JsonTokenType::left_brace)
        ++braces_;
    else if (type == JsonTokenType::right_brace)
        --braces_;
    else if (type == JsonTokenType::left_bracket)
        ++brackets_;
    else if (type == JsonTokenType::right_bracket)
        --brackets_;
}

void ProxyInput::token(JsonTokenType type) {
    if (type == JsonTokenType::stray) {
        auto stray = text_.substr(token_begin_);
        stray.resize(std::min(stray.size(), stray.find('\0'))); // QEMU prints a C string
        return complain("JSON parse error, stray '" + stray + "'");
    }
    count_nesting(type);
    if (tokens_.size() >= limits_.max_tokens)
        return complain("JSON token count limit exceeded");
    if (braces_ + brackets_ > static_cast<std::ptrdiff_t>(limits_.max_depth))
        return complain("JSON nesting depth limit exceeded");
    tokens_.push_back(
        {type, static_cast<std::uint32_t>(token_begin_), static_cast<std::uint32_t>(text_.size())});
    const bool open = (braces_ > 0 || brackets_ > 0) && braces_ >= 0 && brackets_ >= 0;
    if (!open)
        finish();
}

void ProxyInput::finish() {
    auto parsed = parse_json_tokens(tokens_, text_);
    if (parsed.error)
        return complain("JSON parse error, " + *parsed.error);
    ProxyMessage message;
    message.value = std::move(parsed.value);
    if (parsed.id)
        message.id = echo(parsed.id->first, parsed.id->second);
    push(std::move(message));
}

void ProxyInput::complain(std::string why) {
    ProxyMessage message;
    message.error = std::move(why);
    push(std::move(message));
}

void ProxyInput::push(ProxyMessage message) {
    message.fd = std::exchange(fd_, nullptr);
    messages_.push_back(std::move(message));
    forget();
}

void ProxyInput::forget() {
    tokens_.clear();
    text_.clear();
    token_begin_ = 0;
    braces_ = brackets_ = 0;
    if (text_.capacity() > (64u << 10)) {
        text_.shrink_to_fit();
        tokens_.shrink_to_fit();
    }
}

std::string_view ProxyInput::text(const JsonToken& token) const {
    return std::string_view(text_).substr(token.begin, token.end - token.begin);
}

std::string ProxyInput::echo(std::size_t begin, std::size_t end) const {
    const auto from = tokens_[begin].begin, to = tokens_[end - 1].end;
    const auto raw = std::string_view(text_).substr(from, to - from);
    const auto single_quoted = [this](const JsonToken& token) {
        return token.type == JsonTokenType::string && text(token).front() == '\'';
    };
    const auto first = tokens_.begin() + static_cast<std::ptrdiff_t>(begin);
    const auto last = tokens_.begin() + static_cast<std::ptrdiff_t>(end);
    // \' is no escape of JSON's, wherever it stands.
    if (can_be_echoed(raw) && raw.find("\\'") == raw.npos &&
        std::none_of(first, last, single_quoted))
        return std::string(raw);
    std::string out;
    for (auto token = first; token != last; ++token) {
        if (token->type == JsonTokenType::string) {
            const std::vector<JsonToken> alone{*token};
            append_qemu_json(out, parse_json_tokens(alone, text_).value);
        } else {
            out += text(*token);
        }
        if (token->type == JsonTokenType::colon || token->type == JsonTokenType::comma)
            out += ' ';
    }
    return out;
}

} // namespace kata_vfio::qemu
