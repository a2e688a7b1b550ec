// SPDX-License-Identifier: Apache-2.0
#include "config/base/text.hpp"
#include "mdev/mdev_type.hpp"
#include "vfio/sysfs_read.hpp"

#include <climits>

namespace kata_vfio::mdev {
namespace {

std::optional<std::uint64_t> megabytes(std::string_view text) {
    if (!text.ends_with("MB"))
        return std::nullopt;
    text.remove_suffix(2);
    return vfio::number(trim(text));
}

} // namespace

std::optional<GvtResources> parse_description(std::string_view description) {
    std::optional<std::uint64_t> low, high, fence, weight;
    std::optional<std::string> resolution;
    for (const auto line : split(description, '\n')) {
        const auto colon = line.find(':');
        if (colon == line.npos)
            continue;
        const auto key = trim(line.substr(0, colon)), value = trim(line.substr(colon + 1));
        // A key that comes twice makes it somebody else's free text.
        const auto take = [&value](auto& field, const auto& parsed) {
            const bool fresh = !field.has_value() && parsed.has_value() && !value.empty();
            field = parsed;
            return fresh;
        };
        bool well_formed = true;
        if (key == "low_gm_size")
            well_formed = take(low, megabytes(value));
        else if (key == "high_gm_size")
            well_formed = take(high, megabytes(value));
        else if (key == "fence")
            well_formed = take(fence, vfio::number(value));
        else if (key == "weight")
            well_formed = take(weight, vfio::number(value));
        else if (key == "resolution")
            well_formed = take(resolution, std::optional<std::string>(value));
        if (!well_formed)
            return std::nullopt;
    }
    if (!low || !high || !fence || !weight || !resolution || *fence > UINT_MAX ||
        *weight > UINT_MAX)
        return std::nullopt;
    return GvtResources{*low, *high, static_cast<unsigned>(*fence), *resolution,
                        static_cast<unsigned>(*weight)};
}

} // namespace kata_vfio::mdev
