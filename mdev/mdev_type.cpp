// SPDX-License-Identifier: Apache-2.0
#include "mdev/mdev_type.hpp"

#include "config/base/failure.hpp"
#include "config/base/text.hpp"
#include "vfio/pci_function.hpp"
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

/// For a host that makes no vGPUs: GVT-g is advised to who has a GPU that may do it.
std::string advice_for_none(const vfio::HostRoot& root) {
    const auto functions = vfio::list_functions(root);
    const bool intel = std::ranges::any_of(functions, [](const auto& function) {
        return function.is_display() && function.vendor == 0x8086;
    });
    return intel ? "for GVT-g boot with i915.enable_gvt=1 and intel_iommu=on, on a GPU of the 5th "
                   "to 10th Core generation, and modprobe kvmgt"
                 : "GVT-g needs an Intel GPU of the 5th to 10th Core generation, and none is on "
                   "its PCI bus; another device needs the driver that makes its vGPUs";
}

constexpr auto parent_words = " that makes vGPUs (mdev parent)";

/// Why `name` is no parent, as far as the host tells: a type, or a function without vGPUs.
[[noreturn]] void no_parent(const vfio::HostRoot& root, std::string_view name) {
    const auto parents = list_parents(root);
    std::vector<std::string> names, offering;
    for (const auto& parent : parents) {
        names.push_back(parent.name);
        if (std::ranges::any_of(parent.types, [&](const auto& type) { return type.id == name; }))
            offering.push_back(parent.name);
    }
    if (!offering.empty())
        throw Failure(Errc::parent_not_found,
                      kata_vfio::quoted(name) + " is an mdev type, not a device" + parent_words)
            .remedy(join_words(offering) + (offering.size() == 1 ? " offers it" : " offer it"));
    const auto none = "no device of this host does: " + advice_for_none(root);
    const auto there =
        std::string(names.size() == 1 ? "there is " : "there are ") + join_words(names);
    const auto address = vfio::PciAddress::parse(name);
    std::error_code ec;
    if (address && fs::exists(vfio::function_path(root, *address), ec)) {
        const auto driver = vfio::current_driver(root, *address);
        Failure failure(Errc::parent_not_found, address->text() +
                                                    " makes no vGPUs (it is no mdev parent): it is "
                                                    "on " +
                                                    driver.value_or("no driver"));
        if (driver == "vfio-pci")
            failure.remedy("give it back to its driver (kata-vfio restore " + address->text() +
                           "), if that makes vGPUs");
        else
            failure.remedy(names.empty() ? none : there);
        throw failure;
    }
    Failure failure(Errc::parent_not_found,
                    kata_vfio::quoted(name) + " is no device of this host" + parent_words);
    if (names.empty())
        throw failure.remedy("none here does: " + advice_for_none(root));
    // Without its domain, as lspci has it.
    const auto whole = "0000:" + std::string(name);
    const auto near = std::ranges::find(names, whole) != names.end() ? whole : nearest(name, names);
    throw failure.remedy((near.empty() ? "" : "did you mean " + near + "? ") + there);
}

[[noreturn]] void unknown_type(const vfio::HostRoot& root, std::string_view type) {
    const auto parents = list_parents(root);
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
        throw failure.remedy("no parent offers any type: " + advice_for_none(root));
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
    no_parent(root, name);
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
        unknown_type(root, type);
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
