// SPDX-License-Identifier: Apache-2.0
#include "config/annotations.hpp"

#include "config/allow_list.hpp"
#include "config/base/failure.hpp"
#include "config/base/text.hpp"
#include "config/kata_keys.hpp"
#include "config/keys.hpp"
#include "config/pattern.hpp"
#include "config/validate.hpp"

#include <algorithm>
#include <array>
#include <charconv>

namespace kata_vfio::config {
namespace {

constexpr std::string_view prefix = "io.katacontainers.config.hypervisor.";
constexpr std::string_view table = "hypervisor.qemu";

[[noreturn]] void refuse(const std::string& annotation, const std::string& why,
                         const std::string& remedy = {}) {
    Failure failure(Errc::annotation_refused,
                    "annotation " + kata_vfio::quoted(annotation, 200) + " " + why);
    if (!remedy.empty())
        failure.remedy(remedy);
    throw failure;
}

bool enabled(const Hypervisor& hypervisor, const std::string& name) {
    return std::ranges::any_of(hypervisor.enable_annotations, [&](const std::string& pattern) {
        return matches_whole(pattern, name);
    });
}

/// Go's strconv.ParseBool, which Kata reads them with.
bool boolean(const std::string& annotation, const std::string& value) {
    constexpr auto yes = std::to_array<std::string_view>({"1", "t", "T", "TRUE", "true", "True"});
    constexpr auto no = std::to_array<std::string_view>({"0", "f", "F", "FALSE", "false", "False"});
    if (std::ranges::find(yes, value) != yes.end())
        return true;
    if (std::ranges::find(no, value) != no.end())
        return false;
    refuse(annotation, "must be true or false, is " + kata_vfio::quoted(value));
}

std::int64_t number(const std::string& annotation, const Key& key, const std::string& value) {
    std::int64_t parsed = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), parsed);
    if (error != std::errc() || end != value.data() + value.size())
        refuse(annotation, "must be a whole number, is " + kata_vfio::quoted(value));
    if (const auto problem = range_problem(key, parsed); !problem.empty())
        refuse(annotation, problem);
    return parsed;
}

void check_path(const Configuration& c, const std::string& annotation, const Key& key,
                const std::string& value) {
    const bool binary = key.paths == PathList::hypervisor_paths;
    const auto& patterns =
        binary ? c.hypervisor.valid_hypervisor_paths : c.vfio.allowed_guest_files;
    if (!allowed_path(patterns, value))
        refuse(annotation,
               "names " + kata_vfio::quoted(value) + ", which is not permitted by " +
                   (binary ? "valid_hypervisor_paths in [hypervisor.qemu]"
                           : "allowed_guest_files in [vfio]"),
               "have the administrator add a pattern for it there, or leave the annotation out");
}

/// What no administrator can enable: the machine and the bus.
void check_policy(const std::string& annotation, const Key& key, const std::string& value) {
    if (key.name == "machine_type" && !is_pc_machine(value))
        refuse(annotation,
               "asks for " + kata_vfio::quoted(value) +
                   ": only the pc machine's root bus pci.0 takes hot-plugged devices",
               "leave it out, or set it to pc");
    if (key.name == "hotplug_vfio_on_root_bus" && !boolean(annotation, value))
        refuse(annotation,
               "turns the root bus off: devices would go behind a bridge, where large BARs find "
               "no place",
               "leave it out, or set it to true");
}

void assign(Configuration& c, const std::string& annotation, const Key& key,
            const std::string& value) {
    check_policy(annotation, key, value);
    if (key.paths != PathList::none)
        check_path(c, annotation, key, value);
    const auto slot = key.slot(c);
    if (auto* flag = std::get_if<bool*>(&slot)) {
        **flag = boolean(annotation, value);
    } else if (auto* integer = std::get_if<std::int64_t*>(&slot)) {
        **integer = number(annotation, key, value);
    } else {
        auto& text = *std::get<std::string*>(slot);
        if (value.find('\0') != std::string::npos)
            refuse(annotation, "must not hold a zero byte");
        if (const auto problem = choice_problem(key, value); !problem.empty())
            refuse(annotation, problem);
        const bool append = key.name == "kernel_params" && !text.empty();
        text = append ? text + " " + value : value;
    }
    auto& origin = c.where[key.dotted()];
    if (!origin.at.file.empty())
        origin.overridden.push_back(origin.at);
    origin.at = {"annotation " + annotation, 0, 0};
}

/// A name that is enabled and no key an annotation may set.
void other(Configuration& c, const std::string& annotation, const std::string& name) {
    const Position at{"annotation " + annotation, 0, 0};
    if (const auto* obsolete = find_obsolete(table, name)) {
        c.warnings.push_back({at, "", "is obsolete and " + std::string(obsolete->instead)});
        return;
    }
    if (is_kata_annotation(name)) {
        c.warnings.push_back({at, "", "is Kata's and has no effect here"});
        return;
    }
    if (find_key(table, name))
        refuse(annotation, "can't be given as an annotation",
               "set " + name + " in configuration.toml");
    std::vector<std::string> names;
    for (const auto& key : keys())
        if (key.annotation)
            names.emplace_back(key.annotation_name.empty() ? key.name : key.annotation_name);
    const auto meant = nearest(name, names);
    refuse(annotation,
           "is known to nobody" +
               (meant.empty() ? "" : " (did you mean " + std::string(prefix) + meant + "?)"));
}

} // namespace

void apply_annotations(Configuration& configuration,
                       const std::map<std::string, std::string>& annotations) {
    // Longer than any name, and the matcher recurses per character.
    constexpr std::size_t longest = 128;
    auto outcome = configuration;
    for (const auto& [annotation, value] : annotations) {
        if (!annotation.starts_with(prefix))
            continue;
        const auto name = annotation.substr(prefix.size());
        if (name.size() > longest)
            refuse(annotation, "has a name of " + std::to_string(name.size()) + " bytes");
        // Always by the file's list: no annotation can widen what is permitted.
        if (!enabled(configuration.hypervisor, name))
            refuse(
                annotation,
                "is not enabled: no expression of enable_annotations" +
                    (configuration.where.contains("hypervisor.qemu.enable_annotations")
                         ? " (" +
                               configuration.position("hypervisor.qemu.enable_annotations").str() +
                               ")"
                         : std::string()) +
                    " matches " + kata_vfio::quoted(name),
                "add \"" + name +
                    "\" to enable_annotations in [hypervisor.qemu], or leave the "
                    "annotation out");
        if (const auto* key = find_annotation(name))
            assign(outcome, annotation, *key, value);
        else
            other(outcome, annotation, name);
    }
    enforce(outcome);
    configuration = std::move(outcome);
}

} // namespace kata_vfio::config
