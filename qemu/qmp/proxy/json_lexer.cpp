// SPDX-License-Identifier: Apache-2.0
#include "qemu/qmp/proxy/json_lexer.hpp"

namespace kata_vfio::qemu {
namespace {

constexpr bool digit(unsigned char byte) noexcept {
    return byte >= '0' && byte <= '9';
}

constexpr bool exponent_mark(unsigned char byte) noexcept {
    return byte == 'e' || byte == 'E';
}

constexpr bool lower(unsigned char byte) noexcept {
    return byte >= 'a' && byte <= 'z';
}

constexpr std::optional<JsonTokenType> structural(unsigned char byte) noexcept {
    switch (byte) {
    case '{':
        return JsonTokenType::left_brace;
    case '}':
        return JsonTokenType::right_brace;
    case '[':
        return JsonTokenType::left_bracket;
    case ']':
        return JsonTokenType::right_bracket;
    case ':':
        return JsonTokenType::colon;
    case ',':
        return JsonTokenType::comma;
    default:
        return std::nullopt;
    }
}

/// What no string may hold, and what ends skipping.
constexpr bool resets(unsigned char byte) noexcept {
    return byte < 0x20 || byte >= 0xFE;
}

} // namespace

JsonLexer::Step JsonLexer::go(State next) noexcept {
    state_ = next;
    return {};
}

JsonLexer::Step JsonLexer::ended(JsonTokenType token) noexcept {
    state_ = State::start;
    return {true, token};
}

JsonLexer::Step JsonLexer::ended_before(JsonTokenType token) noexcept {
    state_ = State::start;
    return {false, token};
}

JsonLexer::Step JsonLexer::stray() noexcept {
    state_ = State::recovery;
    return {true, JsonTokenType::stray};
}

JsonLexer::Step JsonLexer::start(unsigned char byte) {
    if (byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n')
        return {};
    if (const auto token = structural(byte))
        return ended(*token);
    if (byte == '"' || byte == '\'') {
        quote_ = byte;
        return go(State::string);
    }
    if (byte == '0')
        return go(State::zero);
    if (digit(byte))
        return go(State::digits);
    if (byte == '-')
        return go(State::sign);
    if (lower(byte))
        return go(State::keyword);
    return stray();
}

JsonLexer::Step JsonLexer::in_number(unsigned char byte) {
    switch (state_) {
    case State::sign:
        return byte == '0' ? go(State::zero) : digit(byte) ? go(State::digits) : stray();
    case State::mantissa:
        return digit(byte) ? go(State::mantissa_digits) : stray();
    case State::exponent:
        if (byte == '+' || byte == '-')
            return go(State::exponent_sign);
        [[fallthrough]];
    case State::exponent_sign:
        return digit(byte) ? go(State::exponent_digits) : stray();
    case State::exponent_digits:
        return digit(byte) ? Step{} : ended_before(JsonTokenType::real);
    case State::mantissa_digits:
        if (digit(byte))
            return {};
        return exponent_mark(byte) ? go(State::exponent) : ended_before(JsonTokenType::real);
    default: // zero, digits
        if (digit(byte))
            return state_ == State::zero ? stray() : Step{};
        if (exponent_mark(byte))
            return go(State::exponent);
        return byte == '.' ? go(State::mantissa) : ended_before(JsonTokenType::integer);
    }
}

JsonLexer::Step JsonLexer::step(unsigned char byte) {
    switch (state_) {
    case State::start:
        return start(byte);
    case State::recovery:
        if (!resets(byte) && !structural(byte))
            return {};
        state_ = State::start;
        return {false, std::nullopt};
    case State::string:
        if (byte == quote_)
            return ended(JsonTokenType::string);
        if (byte == '\\')
            return go(State::escape);
        return resets(byte) ? stray() : Step{};
    case State::escape:
        return resets(byte) ? stray() : go(State::string);
    case State::keyword:
        return lower(byte) ? Step{} : ended_before(JsonTokenType::keyword);
    default:
        return in_number(byte);
    }
}

} // namespace kata_vfio::qemu
