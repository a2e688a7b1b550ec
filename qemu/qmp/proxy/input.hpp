// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/base/unique_fd.hpp"
#include "qemu/qmp/proxy/json_lexer.hpp"
#include "qemu/qmp/proxy/json_parser.hpp"

#include <boost/json/value.hpp>

#include <cstddef>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kata_vfio::qemu {

/// What one command of a client may cost us. QEMU itself takes 64 MiB, 2 Mi tokens and 1024 levels
/// (qobject/json-streamer.c), but at 1 MiB it reads for two seconds, a byte at a time.
struct ProxyInputLimits {
    std::size_t max_bytes = 1u << 20;
    std::size_t max_tokens = 1u << 17;
    std::size_t max_depth = 64;

    ProxyInputLimits() {} // not an aggregate on purpose (see FrameLimits)
};

/// One message of a client, or why it is none.
struct ProxyMessage {
    boost::json::value value;
    /// QEMU's complaint; the answer to it has no id. nullopt: `value` is the message.
    std::optional<std::string> error;
    /// What is to be echoed as "id"; nullopt: the message has none (null is one).
    std::optional<std::string> id;
    std::shared_ptr<const UniqueFd> fd; ///< came with it; nullptr for none
};

/// A client's bytes -> messages, taken as QEMU takes them (JsonLexer). Sans-io, single-threaded,
/// throws nothing but std::bad_alloc.
///
/// The id is kept as the client wrote it, to the byte: QEMU echoes by value and so loses precision
/// and makes `inf` of 1e400. Only one that can't go back as it came, since it has single quotes,
/// line breaks or bytes beyond ASCII, is written again: strings as QEMU prints them, numbers still
/// digit for digit.
class ProxyInput {
  public:
    explicit ProxyInput(ProxyInputLimits limits = {}) : limits_(limits) {}

    void feed(std::string_view bytes);
    /// A descriptor that came with the byte fed next: it belongs to the message that is complete
    /// next, and is closed when another comes before that.
    void attach(std::shared_ptr<const UniqueFd> fd) { fd_ = std::move(fd); }
    std::optional<ProxyMessage> next();
    /// Messages fed and not fetched.
    std::size_t pending() const noexcept { return messages_.size(); }

  private:
    void consume(unsigned char byte);
    void token(JsonTokenType type);
    void count_nesting(JsonTokenType type);
    void finish();
    void complain(std::string why);
    void push(ProxyMessage message);
    void forget();
    std::string echo(std::size_t begin, std::size_t end) const;
    std::string_view text(const JsonToken& token) const;

    ProxyInputLimits limits_;
    JsonLexer lexer_;
    std::string text_; ///< of the message under way, from its first token on
    std::size_t token_begin_ = 0;
    std::vector<JsonToken> tokens_;
    // Apart, as QEMU counts them: "[}" is complete when neither is open any more.
    std::ptrdiff_t braces_ = 0, brackets_ = 0;
    std::shared_ptr<const UniqueFd> fd_;
    std::deque<ProxyMessage> messages_;
};

} // namespace kata_vfio::qemu
