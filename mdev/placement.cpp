// SPDX-License-Identifier: Apache-2.0
#include "mdev/placement.hpp"

#include "config/allow_list.hpp"
#include "config/base/text.hpp"

#include <algorithm>
#include <limits>
#include <ostream>
#include <tuple>

namespace kata_vfio::mdev {
namespace {

struct Candidate {
    const MdevParent* parent;
    const MdevType* type;
};

/// What a type takes, in the order in which sizes are compared.
auto size_of(const MdevType& type) {
    const auto gvt = type.gvt.value_or(GvtResources{});
    const auto resolution = config::parse_resolution(gvt.resolution).value_or(config::Resolution{});
    return std::tuple(gvt.low_gm_mb, gvt.high_gm_mb, gvt.weight, gvt.fence, resolution.pixels());
}

struct Judge {
    const VgpuWish& wish;
    const PlacementPolicy& policy;

    /// A parent's types that fit, whatever is left of them.
    std::vector<const MdevType*> fitting(const MdevParent& parent) const {
        std::vector<const MdevType*> types;
        for (const auto& type : parent.types)
            if (is_asked_for(type) && misses(type).empty() && allowed(type))
                types.push_back(&type);
        return types;
    }
    bool is_asked_for(const MdevType& type) const { return !wish.type || *wish.type == type.id; }
    bool allowed(const MdevType& type) const {
        return config::allowed(policy.allowed_types, type.id);
    }
    bool allowed(const MdevParent& parent) const {
        return config::allowed(policy.allowed_parents, parent.name);
    }
    std::string misses(const MdevType& type) const {
        if (wish.minimum.empty())
            return {};
        return type.gvt ? lacks(wish.minimum, *type.gvt) : "resources not told";
    }

    auto rank(const Candidate& candidate) const {
        const auto left = static_cast<std::int64_t>(candidate.type->available_instances);
        const bool far = !policy.near.empty() && !policy.near.contains(candidate.parent->numa_node);
        return std::tuple(size_of(*candidate.type), far,
                          policy.order == PlacementPolicy::Order::pack ? left : -left,
                          candidate.parent->name, candidate.type->id);
    }

    /// Why a parent can't take it: "0000:00:02.0: i915-GVTg_V4_8 has low_gm 64MB of 128MB, of
    /// i915-GVTg_V4_4 no instance is left".
    std::string why_not(const MdevParent& parent) const {
        if (!allowed(parent))
            return parent.name + " is not in allowed_parents";
        if (policy.refused.contains(parent.name))
            return parent.name + " had room, and refused";
        std::vector<std::string> reasons;
        for (const auto& type : parent.types) {
            if (!is_asked_for(type))
                continue;
            if (const auto missing = misses(type); !missing.empty())
                reasons.push_back(type.id + " has " + missing);
            else if (!allowed(type))
                reasons.push_back(type.id + " is not in allowed_types");
            else if (type.available_instances == 0)
                reasons.push_back("of " + type.id + " no instance is left");
        }
        if (reasons.empty())
            reasons.push_back(wish.type ? "it does not offer " + *wish.type : "it offers no type");
        return parent.name + ": " + join_words(reasons);
    }
};

std::string text(const VgpuWish& wish) {
    std::vector<std::string> words;
    const auto& minimum = wish.minimum;
    if (minimum.low_gm_mb)
        words.push_back("low_gm " + std::to_string(minimum.low_gm_mb) + "MB");
    if (minimum.high_gm_mb)
        words.push_back("high_gm " + std::to_string(minimum.high_gm_mb) + "MB");
    if (minimum.fence)
        words.push_back("fence " + std::to_string(minimum.fence));
    if (minimum.resolution)
        words.push_back("resolution " + std::to_string(minimum.resolution->width) + "x" +
                        std::to_string(minimum.resolution->height));
    if (minimum.weight)
        words.push_back("weight " + std::to_string(minimum.weight));
    return (wish.type ? "a vGPU of type " + *wish.type : std::string("a vGPU")) +
           (words.empty() ? std::string() : " with at least " + join_words(words));
}

[[noreturn]] void refuse(const std::vector<MdevParent>& parents, const Judge& judge) {
    const auto& wish = judge.wish;
    std::vector<std::string> why;
    bool big_enough = false, permitted = false;
    for (const auto& parent : parents) {
        why.push_back(judge.why_not(parent));
        big_enough |= std::ranges::any_of(parent.types, [&](const auto& type) {
            return judge.is_asked_for(type) && judge.misses(type).empty();
        });
        permitted |= judge.allowed(parent) && !judge.fitting(parent).empty();
    }
    if (parents.empty())
        throw Failure(Errc::parent_not_found, "no device here makes mediated devices")
            .remedy("for GVT-g boot with i915.enable_gvt=1 and intel_iommu=on, and modprobe kvmgt");
    const auto failure = [&](Errc code, const std::string& problem, const std::string& remedy) {
        return Failure(code, problem).blocked_by(join_words(why, "; ")).remedy(remedy);
    };
    if (permitted)
        throw failure(Errc::no_instances, "no parent has room for " + text(wish),
                      "remove a vGPU that is not used (kata-vfio vgpus), or ask for less");
    if (big_enough)
        throw failure(Errc::not_allowed, text(wish) + " is not allowed here",
                      "extend allowed_types or allowed_parents in [vfio], or ask for another");
    throw failure(Errc::type_not_found, "no parent offers " + text(wish),
                  "ask for less: kata-vfio types shows what each type has");
}

} // namespace

std::string lacks(const VgpuMinimum& minimum, const GvtResources& resources) {
    std::vector<std::string> missing;
    const auto compare = [&](const char* what, std::uint64_t has, std::uint64_t wanted,
                             const char* unit) {
        if (has < wanted)
            missing.push_back(what + std::string(" ") + std::to_string(has) + unit + " of " +
                              std::to_string(wanted) + unit);
    };
    compare("low_gm", resources.low_gm_mb, minimum.low_gm_mb, "MB");
    compare("high_gm", resources.high_gm_mb, minimum.high_gm_mb, "MB");
    compare("fence", resources.fence, minimum.fence, "");
    if (minimum.resolution) {
        const auto has = config::parse_resolution(resources.resolution);
        if (!has || !has->covers(*minimum.resolution))
            missing.push_back("resolution " + resources.resolution + " of " +
                              std::to_string(minimum.resolution->width) + "x" +
                              std::to_string(minimum.resolution->height));
    }
    compare("weight", resources.weight, minimum.weight, "");
    return join_words(missing);
}

std::ostream& operator<<(std::ostream& out, const Placement& placement) {
    return out << placement.type << '@' << placement.parent;
}

Placement place(const std::vector<MdevParent>& all, const VgpuWish& wish,
                const PlacementPolicy& policy) {
    std::vector<MdevParent> parents;
    std::ranges::copy_if(all, std::back_inserter(parents), [&](const auto& parent) {
        return !wish.parent || *wish.parent == parent.name;
    });
    const Judge judge{wish, policy};
    std::vector<Candidate> candidates;
    for (const auto& parent : parents) {
        if (!judge.allowed(parent) || policy.refused.contains(parent.name))
            continue;
        for (const auto* type : judge.fitting(parent))
            if (type->available_instances > 0)
                candidates.push_back({&parent, type});
    }
    if (candidates.empty())
        refuse(parents, judge);
    const auto best = std::ranges::min_element(
        candidates, {}, [&](const Candidate& candidate) { return judge.rank(candidate); });
    return {best->parent->name, best->type->id};
}

} // namespace kata_vfio::mdev
