// SPDX-License-Identifier: Apache-2.0
// A pod's annotations, NAME=VALUE a line, against an administrator who enabled all of them: refused
// as documented and without effect, or a configuration that keeps every rule. Neither machine nor
// bus, nor a path outside the permitted, gets through.
#include "config/annotations.hpp"
#include "config/document.hpp"
#include "config/validate.hpp"
#include "test/fuzz/fuzz.hpp"

using namespace kata_vfio::config;

namespace kata_vfio::fuzz {

void one(std::string_view bytes) {
    static const auto permitted = load_text(
        "[hypervisor.qemu]\nhotplug_vfio_on_root_bus = true\nenable_annotations = [\".*\"]\n"
        "valid_hypervisor_paths = [\"/usr/bin/qemu*\"]\nkernel_params = \"quiet\"\n"
        "[vfio]\nallowed_guest_files = [\"/opt/guest/*\"]\n",
        "file");
    std::map<std::string, std::string> annotations;
    while (!bytes.empty()) {
        const auto line = take_line(bytes);
        const auto equals = std::min(line.find('='), line.size());
        annotations["io.katacontainers.config.hypervisor." + std::string(line.substr(0, equals))] =
            line.substr(std::min(equals + 1, line.size()));
    }
    auto outcome = permitted;
    const auto refused = refusal(
        {Errc::annotation_refused, Errc::machine_refused, Errc::root_bus_off, Errc::config_invalid},
        [&] { apply_annotations(outcome, annotations); });
    const auto& qemu = outcome.hypervisor;
    if (refused)
        require(outcome.where.size() == permitted.where.size() &&
                    qemu.kernel_params == permitted.hypervisor.kernel_params,
                "what is refused has no effect");
    require(validate(outcome).empty(), "every rule is kept");
    require(is_pc_machine(qemu.machine_type) && qemu.hotplug_vfio_on_root_bus,
            "neither machine nor bus is changed");
    require(qemu.path.starts_with("/usr/bin/qemu") && qemu.path.find('/', 9) == qemu.path.npos,
            "only a permitted hypervisor is run");
    for (const auto* file : {&qemu.image, &qemu.initrd, &qemu.firmware})
        require(file->empty() ||
                    (file->starts_with("/opt/guest/") && file->find('/', 11) == file->npos),
                "only permitted guest files are used");
}

} // namespace kata_vfio::fuzz
