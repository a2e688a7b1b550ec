// SPDX-License-Identifier: Apache-2.0
// configuration.toml of any bytes: refused as invalid with a place in the file, or values that are
// shown as TOML which loads to the same ones; and `config enable` sets its one key or refuses.
#include "config/document.hpp"
#include "config/edit.hpp"
#include "config/keys.hpp"
#include "config/show.hpp"
#include "config/validate.hpp"
#include "test/fuzz/fuzz.hpp"

using namespace kata_vfio::config;

namespace kata_vfio::fuzz {
namespace {

void check_values(std::string_view bytes) {
    auto loaded = load_text(bytes, "file");
    for (const auto& finding : validate(loaded))
        require(!finding.failure().problem().empty(), "a broken rule has a text");
    auto again = load_text(show_toml(loaded), "shown");
    for (const auto& key : keys()) {
        require(toml_literal(key.slot(loaded)) == toml_literal(key.slot(again)),
                "what is shown loads to the same values");
        if (const auto slot = key.slot(loaded); std::holds_alternative<std::int64_t*>(slot))
            require(range_problem(key, *std::get<std::int64_t*>(slot)).empty(),
                    "a number that is taken is in its range");
    }
    (void)show_json(loaded);
}

void check_edit(std::string_view bytes) {
    const auto edit =
        set_value_in(bytes, "hypervisor.qemu", "hotplug_vfio_on_root_bus", "true", "file");
    require(edit.kind != EditKind::none || edit.text == bytes, "no edit changes nothing");
    const auto twice =
        set_value_in(edit.text, "hypervisor.qemu", "hotplug_vfio_on_root_bus", "true", "file");
    require(twice.kind == EditKind::none && twice.line == edit.line, "an edit is made once");
}

} // namespace

void one(std::string_view bytes) {
    const auto refused = refusal({Errc::config_invalid}, [&] { check_values(bytes); });
    require(!refused || refused->problem().starts_with("file:"), "a refusal names its place");
    refusal({Errc::config_invalid}, [&] { check_edit(bytes); });
}

} // namespace kata_vfio::fuzz
