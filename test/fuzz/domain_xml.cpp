// SPDX-License-Identifier: Apache-2.0
// libvirt's XML, and its command lines: byte 0 chooses which.
#include "qemu/domain_xml/machine_facts.hpp"
#include "qemu/domain_xml/native.hpp"
#include "qemu/domain_xml/node_device.hpp"
#include "test/fuzz/fuzz.hpp"

#include <boost/json.hpp>

namespace kata_vfio::fuzz {
namespace {

namespace xml = qemu::domain_xml;

void check_domain(std::string_view text) {
    refusal({Errc::invalid_argument, Errc::machine_refused}, [&] {
        auto domain = xml::read_domain(text);
        require(domain.vcpus > 0, "a guest has a CPU");
        for (const auto& hostdev : domain.hostdevs) {
            require(!hostdev.guest || (hostdev.guest->bus == 0 && hostdev.guest->slot > 0),
                    "a device is on the root bus");
            qemu::encode_device_add(xml::vfio_device(hostdev));
        }
        // What XML can't hold has become U+FFFD by then.
        const auto once = xml::write_domain(xml::read_domain(xml::write_domain(domain)));
        require(xml::write_domain(xml::read_domain(once)) == once,
                "what is written is read as the same");
        require(xml::read_domain(xml::for_any_host(text, "qemu")).hostdevs.size() ==
                    domain.hostdevs.size(),
                "the same devices for any host");
    });
}

void check_command_line(std::string_view text) {
    refusal({Errc::invalid_argument}, [&] {
        for (const auto& device : xml::vfio_devices(text))
            require(xml::differences(device, "a", device, "b").empty(),
                    "a device is the same as itself");
    });
}

} // namespace

void one(std::string_view bytes) {
    if (bytes.empty())
        return;
    const auto text = bytes.substr(1);
    switch (bytes.front()) {
    case 'n':
        refusal({Errc::invalid_argument}, [&] { xml::read_node(text); });
        return;
    case 'f':
        refusal({Errc::invalid_argument}, [&] { xml::read_facts(text); });
        return;
    case 'c':
        return check_command_line(text);
    default:
        return check_domain(text);
    }
}

} // namespace kata_vfio::fuzz
