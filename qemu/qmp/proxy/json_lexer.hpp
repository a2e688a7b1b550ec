// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>

namespace kata_vfio::qemu {

enum class JsonTokenType : std::uint8_t {
    left_brace,
    right_brace,
    left_bracket,
    right_bracket,
    colon,
    comma,
    integer,
    real,
    keyword, ///< any run of a-z: whether it is true, false or null is for the parser to say
    string,  ///< quotes included, double or single ones
    stray,   ///< bytes that begin or continue no token
};

/// Bytes -> tokens, as leniently as QEMU's own lexer takes them (docs/interop/qmp-spec.rst, "QMP
/// Input Object"; measured on 7.2): single quotes, no newline needed, and after a stray byte
/// everything is skipped up to a structural character, a control character, 0xFE or 0xFF. Sans-io.
class JsonLexer {
  public:
    struct Step {
        /// False: the token ended in front of the byte, which is to be offered once more.
        bool consumed = true;
        /// A token that ends here; the consumed byte, if it was, is its last one.
        std::optional<JsonTokenType> token;
    };
    Step step(unsigned char byte);

    /// No token is under way: what was consumed belongs to none.
    bool between_tokens() const noexcept {
        return state_ == State::start || state_ == State::recovery;
    }
    /// Skip as after a stray byte.
    void recover() noexcept { state_ = State::recovery; }

  private:
    enum class State {
        start,
        recovery,
        string,
        escape,
        zero,
        sign,
        digits,
        mantissa, ///< after the '.', which needs a digit
        mantissa_digits,
        exponent, ///< after the 'e', which needs a sign or a digit
        exponent_sign,
        exponent_digits,
        keyword,
    };

    Step start(unsigned char byte);
    Step in_number(unsigned char byte);
    Step go(State next) noexcept;
    Step ended(JsonTokenType token) noexcept;
    Step ended_before(JsonTokenType token) noexcept;
    Step stray() noexcept;

    State state_ = State::start;
    unsigned char quote_ = '"';
};

} // namespace kata_vfio::qemu
