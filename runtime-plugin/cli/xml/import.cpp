// SPDX-License-Identifier: Apache-2.0
#include "config/base/failure.hpp"
#include "config/base/text.hpp"
#include "mdev/uuid.hpp"
#include "qemu/domain_xml/node_device.hpp"
#include "runtime-plugin/cli/json_text.hpp"
#include "runtime-plugin/cli/named_file.hpp"
#include "runtime-plugin/cli/table.hpp"
#include "runtime-plugin/cli/xml/xml_verbs.hpp"
#include "runtime-plugin/plugin/device_request.hpp"

#include <boost/json.hpp>

#include <algorithm>
#include <iostream>

namespace kata_vfio::cli {
namespace json = boost::json;
namespace xml = qemu::domain_xml;
namespace {

constexpr std::size_t size_limit = 4u << 20;

constexpr auto name_xml = "name a file of libvirt's XML that is there, or - for standard input "
                          "(virsh dumpxml NAME | kata-vfio xml import -)";

/// A device request for the `attach` of a sandbox.
struct Request {
    std::string device;
    std::string uuid;                       ///< of a vGPU that is to be made; ""
    std::optional<xml::PciPlace> asked_for; ///< the guest address in the XML
};

struct Import {
    std::string name; ///< the domain's; "" of a node device
    std::string configuration;
    std::vector<Request> requests;
    std::vector<std::string> notes;
};

std::uint64_t asked_mebibytes(const xml::Domain& domain) {
    return (domain.memory_kib + 1023) / 1024;
}

/// Of the domain's memory, as default_memory takes it: config/keys.cpp has the least.
std::uint64_t mebibytes(const xml::Domain& domain) {
    constexpr std::uint64_t least = 256;
    return std::max(least, asked_mebibytes(domain));
}

/// What `attach` makes of "TYPE@PARENT" has to be just that, not another kind of request.
std::string vgpu_request(const xml::VgpuNode& vgpu) {
    auto device = vgpu.type + "@" + vgpu.parent.text();
    const auto refused = [&] {
        return Failure(Errc::malformed_device,
                       "type " + quoted(vgpu.type) + " is no mdev type's name")
            .remedy("kata-vfio types lists the types there are");
    };
    try {
        const auto request = plugin::parse_device(device, vgpu.uuid);
        const auto* made = std::get_if<plugin::VgpuRequest>(&request);
        if (made && made->type == vgpu.type && made->parent == vgpu.parent.text())
            return device;
    } catch (const Failure& failure) {
        throw refused().said(failure.problem());
    }
    throw refused();
}

/// A TOML basic string. JSON's escapes are TOML's, but for U+007F, which TOML wants escaped.
std::string toml_string(const std::string& text) {
    auto out = json::serialize(json::string(text));
    for (auto at = out.find('\x7f'); at != std::string::npos; at = out.find('\x7f'))
        out.replace(at, 1, "\\u007f");
    return out;
}

Import import_domain(const std::string& text) {
    const auto domain = xml::read_domain(text);
    Import made{domain.name, configuration_of(domain), {}, domain.notes};
    require_uuids(domain);
    if (domain.memory_kib != 0 && mebibytes(domain) > asked_mebibytes(domain))
        made.notes.push_back("memory of " + std::to_string(asked_mebibytes(domain)) +
                             " MiB: a configuration takes " + std::to_string(mebibytes(domain)) +
                             " at least");
    for (const auto& hostdev : domain.hostdevs)
        made.requests.push_back(
            {hostdev.kind == xml::Hostdev::Kind::mdev ? hostdev.uuid : hostdev.host.text(), "",
             hostdev.guest});
    if (std::ranges::any_of(made.requests,
                            [](const auto& each) { return each.asked_for.has_value(); }))
        made.notes.push_back("guest addresses are not promised: an attach takes the lowest free "
                             "slot of pci.0");
    if (std::ranges::any_of(domain.hostdevs, [](const auto& each) {
            return each.multifunction || (each.guest && each.guest->function != 0);
        }))
        made.notes.push_back(
            "functions of one slot: attached one by one each has a slot of its own; "
            "their group's node (/dev/vfio/N) keeps them together");
    return made;
}

Import import_node(const std::string& text) {
    const auto node = xml::read_node(text);
    Import made;
    if (node.function) {
        made.requests.push_back({node.function->text(), "", std::nullopt});
        return made;
    }
    const auto& vgpu = *node.vgpu;
    if (!vgpu.uuid.empty())
        mdev::Uuid::require(vgpu.uuid);
    made.requests.push_back({vgpu_request(vgpu), vgpu.uuid, std::nullopt});
    made.notes.push_back(
        "an attach makes the vGPU, and it goes with the sandbox; --keep has it stay");
    return made;
}

/// As a shell reads it back.
std::string shell_word(const std::string& word) {
    const bool plain = !word.empty() && std::ranges::all_of(word, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               std::string_view("@%+=:,./_-").find(c) != std::string_view::npos;
    });
    if (plain)
        return word;
    std::string out = "'";
    for (const char c : word)
        out += c == '\'' ? std::string("'\\''") : std::string(1, c);
    return out + "'";
}

std::string command_of(const Request& request) {
    return "kata-vfio attach ID " + shell_word(request.device) +
           (request.uuid.empty() ? "" : " --uuid " + request.uuid);
}

} // namespace

void require_uuids(const xml::Domain& domain) {
    for (const auto& hostdev : domain.hostdevs)
        if (hostdev.kind == xml::Hostdev::Kind::mdev)
            try {
                mdev::Uuid::require(hostdev.uuid);
            } catch (Failure& failure) {
                throw failure.during("line " + std::to_string(hostdev.line) + ": <hostdev>");
            }
}

std::string read_document(const std::string& file) {
    if (file == "-") {
        std::string text;
        char bytes[65536];
        while (text.size() <= size_limit &&
               (std::cin.read(bytes, sizeof bytes), std::cin.gcount() > 0))
            text.append(bytes, static_cast<std::size_t>(std::cin.gcount()));
        return text; // what is too long the reader refuses
    }
    return read_named_file(file, "libvirt's XML", size_limit, name_xml);
}

void tell_document(Failure& failure, const std::string& file) {
    if (failure.advice().empty())
        failure.remedy(name_xml);
    failure.during(file == "-" ? "standard input" : file);
}

std::string configuration_of(const xml::Domain& domain) {
    std::string out = "[hypervisor.qemu]\n";
    if (!domain.emulator.empty())
        out += "path = " + toml_string(domain.emulator) + "\n";
    // Versioned, the machine would be tied to the QEMU that the XML is from; Kata's is its own.
    out += "machine_type = \"pc\"\ndefault_vcpus = " + std::to_string(domain.vcpus) + "\n";
    if (domain.memory_kib != 0)
        out += "default_memory = " + std::to_string(mebibytes(domain)) + "\n";
    return out + "hotplug_vfio_on_root_bus = true\n";
}

int xml_import(const Arguments& arguments, Io& io) {
    const auto text = read_document(arguments.subject);
    const auto import = [&] {
        try {
            return xml::is_document_of(text, "device") ? import_node(text) : import_domain(text);
        } catch (Failure& failure) {
            tell_document(failure, arguments.subject);
            throw;
        }
    };
    const auto made = import();
    if (arguments.json) {
        json::array requests;
        for (const auto& each : made.requests)
            requests.push_back(
                json::object{{"device", each.device},
                             {"uuid", text_or_null(each.uuid)},
                             {"guest_address", each.asked_for ? json::value(each.asked_for->text())
                                                              : json::value(nullptr)}});
        io.out << json::serialize(json::object{{"name", text_or_null(made.name)},
                                               {"configuration", text_or_null(made.configuration)},
                                               {"requests", std::move(requests)},
                                               {"notes", json::value_from(made.notes)}})
               << '\n';
        return 0;
    }
    for (const auto& note : made.notes)
        io.err << "kata-vfio: " << printable(note) << '\n';
    // A configuration as it stands, so that it can be sent into a file: the rest is comment.
    io.out << made.configuration;
    for (const auto& each : made.requests)
        io.out << (made.configuration.empty() ? "" : "# ") << command_of(each) << '\n';
    return 0;
}

} // namespace kata_vfio::cli
