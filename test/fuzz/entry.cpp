// SPDX-License-Identifier: Apache-2.0
#include "test/fuzz/fuzz.hpp"

#include <cstdint>
#include <cstdio>
#include <cstdlib>

namespace kata_vfio::fuzz {

void require(bool holds, std::string_view promise, std::source_location at) {
    if (holds)
        return;
    std::fprintf(stderr, "%s:%u: broken promise: %.*s\n", at.file_name(),
                 static_cast<unsigned>(at.line()), static_cast<int>(promise.size()),
                 promise.data());
    std::abort();
}

std::string_view take_line(std::string_view& rest) {
    const auto end = rest.find('\n');
    const auto line = rest.substr(0, end);
    rest = end == rest.npos ? std::string_view() : rest.substr(end + 1);
    return line;
}

} // namespace kata_vfio::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    kata_vfio::fuzz::one({reinterpret_cast<const char*>(data), size});
    return 0;
}
