// SPDX-License-Identifier: Apache-2.0
#include "mdev/mdev_type.hpp"

#include "config/base/failure.hpp"
#include "config/base/text.hpp"
#include "vfio/sysfs_read.hpp"

#include <algorithm>
#include <climits>

namespace kata_vfio::mdev {
namespace fs = std::filesystem;
namespace {

/// One path component and nothing that walks: what may become part of a path.
bool is_component(std::string_view name) {
    return !name.empty() && name.size() <= 255 && name != "." && name != ".." &&
           name.find('/') == name.npos && name.find('\0') == name.npos;
}

unsigned available_of(const fs::path& type_dir) {
    const auto available = vfio::number_attribute(type_dir / "available_instances").value_or(0);
    return static_cast<unsigned>(std::min<std::uint64_t>(available, UINT_MAX));
}

MdevType load_type(const fs::path& dir) {
    MdevType type;
    type.id = dir.filename().string();
    type.name = vfio::attribute(dir / "name");
    type.description = vfio::attribute(dir / "description").value_or("");
    type.gvt = parse_description(type.description);
    type.device_api = vfio::attribute(dir / "device_api").value_or("");
    type.available_instances = available_of(dir);
    return type;
}

int numa_node_of(const fs::path& parent) {
    const auto node = vfio::number_attribute(parent / "numa_node"); // "-1" is no number here
    return node && *node < 1024 ? static_cast<int>(*node) : -1;
}

MdevParent load_parent(const std::string& name, const fs::path& path) {
    MdevParent parent;
    parent.name = name;
    parent.address = vfio::PciAddress::parse(name);
    parent.path = path;
    parent.numa_node = numa_node_of(path);
    for (const auto& id : vfio::names_in(path / "mdev_supported_types"))
        parent.types.push_back(load_type(path / "mdev_supported_types" / id));
    return parent;
}

std::vector<std::string> parent_names(const vfio::HostRoot& root) {
    return vfio::names_in(root.sys("class/mdev_bus"));
}

std::string advice_for_none() {
    return "for GVT-g boot with i915.enable_gvt=1 and intel_iommu=on, on a GPU of the 5th to 10th "
           "Core generation, and modprobe kvmgt";
}

[[noreturn]] void unknown_type(std::string_view type, const std::vector<MdevParent>& parents) {
    std::vector<std::string> ids, offers;
    for (const auto& parent : parents)
        for (const auto& offered : parent.types) {
            // mtty's name is "Single port serial", its id mtty-1: people ask by what they read.
            if (offered.name && *offered.name == type)
                throw Failure(Errc::type_not_found,
                              kata_vfio::quoted(type) + " is the name of an mdev type, not its id")
                    .remedy("use its id: " + offered.id);
            if (std::find(ids.begin(), ids.end(), offered.id) == ids.end())
                ids.push_back(offered.id);
        }
    Failure failure(Errc::type_not_found,
                    is_component(type) ? "no mdev type " + kata_vfio::quoted(type) + " on this host"
                                       : kata_vfio::quoted(type) + " can't be an mdev type's id");
    if (ids.empty())
        throw failure.remedy("no parent offers any type: " + advice_for_none());
    const auto near = nearest(type, ids);
    throw failure.remedy((near.empty() ? "" : "did you mean " + near + "? ") + "there " +
                         (ids.size() == 1 ? "is " : "are ") + join_words(ids));
}

} // namespace

fs::path parent_path(const vfio::HostRoot& root, std::string_view name) {
    if (is_component(name)) {
        auto path = root.sys("class/mdev_bus") / name;
        if (std::error_code ec; fs::is_directory(path, ec))
            return path;
    }
    Failure failure(Errc::parent_not_found,
                    kata_vfio::quoted(name) + " is no mdev parent of this host");
    const auto names = parent_names(root);
    if (names.empty())
        throw failure.remedy("no device here makes mediated devices: " + advice_for_none());
    const auto near = nearest(name, names);
    throw failure.remedy((near.empty() ? "" : "did you mean " + near + "? ") + "there " +
                         (names.size() == 1 ? "is " : "are ") + join_words(names));
}

int numa_node(const vfio::HostRoot& root, std::string_view parent) {
    return numa_node_of(parent_path(root, parent));
}

fs::path type_path(const vfio::HostRoot& root, std::string_view parent, std::string_view type) {
    auto path = parent_path(root, parent) / "mdev_supported_types";
    if (is_component(type))
        if (std::error_code ec; fs::is_directory(path / type, ec))
            return path / type;
    // Throws, with the text that fits.
    find_type(root, type, parent);
    return path / type;
}

std::vector<MdevParent> list_parents(const vfio::HostRoot& root) {
    std::vector<MdevParent> parents;
    for (const auto& name : parent_names(root)) {
        std::error_code ec;
        const auto path = fs::canonical(root.sys("class/mdev_bus") / name, ec);
        if (!ec) // else its driver went while we looked
            parents.push_back(load_parent(name, path));
    }
    return parents;
}

MdevParent read_parent(const vfio::HostRoot& root, std::string_view name) {
    const auto path = parent_path(root, name);
    std::error_code ec;
    auto resolved = fs::canonical(path, ec);
    return load_parent(std::string(name), ec ? path : resolved);
}

MdevType read_type(const vfio::HostRoot& root, std::string_view parent, std::string_view type) {
    return load_type(type_path(root, parent, type));
}

std::vector<TypeOffer> find_type(const vfio::HostRoot& root, std::string_view type,
                                 std::optional<std::string_view> parent) {
    std::vector<TypeOffer> offers;
    if (parent) {
        const auto dir = parent_path(root, *parent) / "mdev_supported_types" / type;
        if (std::error_code ec; is_component(type) && fs::is_directory(dir, ec))
            return {TypeOffer{std::string(*parent), available_of(dir)}};
    }
    std::vector<std::string> others;
    if (is_component(type))
        for (const auto& name : parent_names(root)) {
            std::error_code ec;
            const auto dir = root.sys("class/mdev_bus") / name / "mdev_supported_types" / type;
            if (!fs::is_directory(dir, ec))
                continue;
            if (parent)
                others.push_back(name);
            else
                offers.push_back(TypeOffer{name, available_of(dir)});
        }
    if (!offers.empty())
        return offers;
    if (others.empty())
        unknown_type(type, list_parents(root));
    std::vector<std::string> ids;
    for (const auto& offered : read_parent(root, *parent).types)
        ids.push_back(offered.id);
    throw Failure(Errc::type_not_found,
                  "parent " + std::string(*parent) + " does not offer type " + std::string(type))
        .remedy(join_words(others) + (others.size() == 1 ? " does" : " do") +
                (ids.empty() ? std::string()
                             : "; " + std::string(*parent) + " offers " + join_words(ids)));
}

} // namespace kata_vfio::mdev
