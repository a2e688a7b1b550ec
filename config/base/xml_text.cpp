// SPDX-License-Identifier: Apache-2.0
#include "config/base/xml_text.hpp"

#include "config/base/utf8.hpp"

namespace kata_vfio {

std::string xml_escaped(std::string_view text) {
    constexpr std::string_view replacement = "\xef\xbf\xbd";
    const auto valid = valid_utf8(text);
    std::string out;
    out.reserve(valid.size());
    for (std::size_t i = 0; i < valid.size(); ++i) {
        const char c = valid[i];
        const auto at = std::string_view(valid).substr(i, 3);
        if (c == '&')
            out += "&amp;";
        else if (c == '<')
            out += "&lt;";
        else if (c == '>')
            out += "&gt;";
        else if (c == '"')
            out += "&quot;";
        else if (c == '\'')
            out += "&apos;";
        else if (at == "\xef\xbf\xbe" || at == "\xef\xbf\xbf") {
            out += replacement;
            i += 2;
        } else if (static_cast<unsigned char>(c) < 0x20 && c != '\t' && c != '\n')
            out += replacement;
        else
            out += c;
    }
    return out;
}

} // namespace kata_vfio
