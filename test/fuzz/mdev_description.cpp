// SPDX-License-Identifier: Apache-2.0
// An mdev type's description: none, or five values that read back as they were whatever stands
// around them.
#include "mdev/mdev_type.hpp"
#include "test/fuzz/fuzz.hpp"

using namespace kata_vfio::mdev;

namespace kata_vfio::fuzz {

void one(std::string_view bytes) {
    const auto resources = parse_description(bytes);
    if (!resources)
        return;
    require(!resources->resolution.empty() && resources->resolution.find('\n') == std::string::npos,
            "a resolution is of one line");
    const auto printed = "weight: " + std::to_string(resources->weight) +
                         "\nfree text\nresolution: " + resources->resolution +
                         "\r\nlow_gm_size: " + std::to_string(resources->low_gm_mb) +
                         "MB\nhigh_gm_size: " + std::to_string(resources->high_gm_mb) +
                         "MB\nfence: " + std::to_string(resources->fence);
    require(parse_description(printed) == resources, "a description reads back as it was");
    require(!parse_description(printed + "\nfence: 4"), "what comes twice is somebody else's text");
}

} // namespace kata_vfio::fuzz
