// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/cli/check/kernel_config.hpp"

#include "config/base/failure.hpp"
#include "config/base/text.hpp"

#include <zlib.h>

namespace kata_vfio::cli {

KernelConfig KernelConfig::parse(std::string_view text) {
    constexpr std::string_view off_begins = "# CONFIG_", off_ends = " is not set";
    KernelConfig config;
    for (auto line : split(text, '\n')) {
        line = trim(line);
        if (line.starts_with(off_begins) && line.ends_with(off_ends)) {
            line.remove_prefix(2);
            line.remove_suffix(off_ends.size());
            config.options_[std::string(line)] = State::off;
        } else if (line.starts_with("CONFIG_")) {
            const auto at = line.find('=');
            if (at == std::string_view::npos)
                continue;
            const auto value = line.substr(at + 1);
            config.options_[std::string(line.substr(0, at))] =
                value == "m" ? State::module : (value == "n" ? State::off : State::builtin);
        }
    }
    return config;
}

KernelConfig::State KernelConfig::state(std::string_view option) const {
    const auto found = options_.find(option);
    return found == options_.end() ? State::absent : found->second;
}

std::string gunzip(std::string_view bytes, std::size_t limit) {
    z_stream stream{};
    // 16: a gzip header, no other.
    if (::inflateInit2(&stream, 16 + MAX_WBITS) != Z_OK)
        throw Failure(Errc::internal, "zlib can't be used").said(stream.msg ? stream.msg : "");
    struct End {
        z_stream& stream;
        ~End() { ::inflateEnd(&stream); }
    } end{stream};
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
    stream.avail_in = static_cast<uInt>(bytes.size());
    std::string text;
    char buffer[65536];
    for (;;) {
        stream.next_out = reinterpret_cast<Bytef*>(buffer);
        stream.avail_out = sizeof buffer;
        const int result = ::inflate(&stream, Z_NO_FLUSH);
        if (result != Z_OK && result != Z_STREAM_END)
            throw Failure(Errc::host_io,
                          result == Z_BUF_ERROR ? "the gzip data is cut short" : "not gzip data")
                .said(stream.msg ? stream.msg : "");
        text.append(buffer, sizeof buffer - stream.avail_out);
        if (text.size() > limit)
            throw Failure(Errc::host_io,
                          "the gzip data holds more than " + std::to_string(limit) + " bytes");
        if (result == Z_STREAM_END)
            return text;
    }
}

} // namespace kata_vfio::cli
