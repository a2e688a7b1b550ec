// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/plugin/sandbox_id.hpp"

#include "config/base/failure.hpp"
#include "config/base/text.hpp"

namespace kata_vfio::plugin {

std::string require_sandbox_id(std::string_view text) {
    constexpr std::string_view first =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    const auto fail = [&](std::string why) {
        return Failure(Errc::malformed_sandbox_id,
                       quoted(text, 40) + " can't be a sandbox id: " + std::move(why))
            .remedy("use 1 to 128 of A-Z a-z 0-9 . _ -, a letter or digit first");
    };
    if (text.empty())
        throw fail("it is empty");
    if (text.size() > 128)
        throw fail("it has " + std::to_string(text.size()) + " characters");
    if (first.find(text.front()) == first.npos)
        throw fail("it starts with " + quoted(text.substr(0, 1)));
    for (const char c : text)
        if (first.find(c) == first.npos && c != '.' && c != '_' && c != '-')
            throw fail("it has " + quoted(std::string_view(&c, 1)) + " in it");
    return std::string(text);
}

bool is_sandbox_id(std::string_view text) {
    try {
        require_sandbox_id(text);
        return true;
    } catch (const Failure&) {
        return false;
    }
}

} // namespace kata_vfio::plugin
