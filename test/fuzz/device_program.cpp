// SPDX-License-Identifier: Apache-2.0
// Twelve bytes of an access, then a device program of a cgroup: whatever it does, it is run to an
// answer within its budget, always to the same one.
#include "runtime-plugin/plugin/device_program.hpp"
#include "test/fuzz/fuzz.hpp"

#include <cstring>

using namespace kata_vfio::plugin;

namespace kata_vfio::fuzz {

void one(std::string_view bytes) {
    constexpr std::size_t head = 12, budget = 4096;
    if (bytes.size() < head)
        return;
    std::uint32_t words[3];
    std::memcpy(words, bytes.data(), sizeof words);
    DeviceAccess access;
    access.block = (words[0] & 1) != 0;
    access.read = (words[0] & 2) != 0;
    access.write = (words[0] & 4) != 0;
    access.make = (words[0] & 8) != 0;
    access.major = words[1];
    access.minor = words[2];
    const auto program = parse_program(bytes.substr(head));
    require(program.has_value() == ((bytes.size() - head) % 8 == 0),
            "a program is of 8 bytes each");
    if (!program)
        return;
    const auto judged = run_program(*program, access, budget);
    require(run_program(*program, access, budget) == judged, "a program has one answer");
    if (judged != Judgement::unknown)
        require(run_program(*program, access, 2 * budget) == judged,
                "what has ended is not changed by a larger budget");
}

} // namespace kata_vfio::fuzz
