// SPDX-License-Identifier: Apache-2.0
#include "config/base/failure.hpp"
#include "config/base/text.hpp"
#include "qemu/domain_xml/machine_facts.hpp"
#include "qemu/domain_xml/native.hpp"
#include "runtime-plugin/cli/json_text.hpp"
#include "runtime-plugin/cli/table.hpp"
#include "runtime-plugin/cli/xml/libvirt_helper.hpp"
#include "runtime-plugin/cli/xml/xml_verbs.hpp"

#include <boost/json.hpp>

#include <algorithm>

namespace kata_vfio::cli {
namespace json = boost::json;
namespace xml = qemu::domain_xml;
namespace {

struct Subject {
    std::string text;
    xml::Domain domain;
};

/// A sandbox's id has no slash (docs/lifecycle.md), and none is called .xml for long.
bool is_file(const std::string& subject) {
    return subject == "-" || subject.find('/') != std::string::npos || subject.ends_with(".xml");
}

Subject subject_of(const Arguments& arguments, Io& io) {
    Subject made;
    if (is_file(arguments.subject)) {
        made.text = read_document(arguments.subject);
        try {
            made.domain = xml::read_domain(made.text);
            require_uuids(made.domain);
            require_own_emulator(arguments, made.domain);
        } catch (Failure& failure) {
            tell_document(failure, arguments.subject);
            throw;
        }
    } else {
        made.domain = exported_domain(arguments, arguments.subject, io);
        made.text = xml::write_domain(made.domain);
    }
    return made;
}

json::object request_of(const std::string& text, const xml::Domain& domain,
                        const std::string& type) {
    return {{"xml", type == "qemu" && domain.kvm ? xml::for_any_host(text, type) : text},
            {"command_xml", xml::for_any_host(text, type)},
            {"emulator", domain.emulator},
            {"machine", domain.machine},
            {"type", type}};
}

/// A part of libvirt's answer: its text, or what it refused with.
std::string part_of(const json::object& answer, const char* key, std::string& refused) {
    const auto& part = answer.at(key).as_object();
    refused = string_at(part, "refused");
    return string_at(part, "text");
}

json::object machine_json(const json::object& answer) {
    std::string refused;
    const auto capabilities = part_of(answer, "capabilities", refused);
    if (!refused.empty())
        return {{"name", nullptr},
                {"emulator", nullptr},
                {"type", nullptr},
                {"vcpu_max", nullptr},
                {"refused", refused}};
    const auto facts = xml::read_facts(capabilities);
    return {{"name", facts.machine},
            {"emulator", facts.emulator},
            {"type", facts.type},
            {"vcpu_max", facts.vcpu_max},
            {"refused", nullptr}};
}

/// Ours beside libvirt's, which is missing where its command line has none.
json::object compared(const xml::Hostdev& hostdev, const std::vector<json::object>& theirs,
                      const std::string& refused) {
    auto ours = qemu::encode_device_add(xml::vfio_device(hostdev));
    json::object row{{"device", hostdev.name()},
                     {"line", hostdev.line == 0 ? json::value(nullptr) : json::value(hostdev.line)},
                     {"ours", nullptr},
                     {"libvirt", nullptr},
                     {"verdict", "not_compared"},
                     {"differences", json::array()},
                     {"why", refused}};
    const auto found = std::ranges::find_if(
        theirs, [&](const auto& each) { return xml::host_device(each) == hostdev.sysfsdev(); });
    if (found != theirs.end()) {
        // Nobody has asked for a slot: libvirt has chosen one, as an attach would.
        if (!hostdev.guest)
            if (const auto* addr = found->if_contains("addr"))
                ours["addr"] = *addr;
        const auto differences = xml::differences(*found, "libvirt", ours, "kata-vfio");
        row["libvirt"] = *found;
        row["verdict"] = differences.empty() ? "same" : "differs";
        row["differences"] = json::value_from(differences);
        row["why"] = "";
    } else if (refused.empty()) {
        row["verdict"] = "differs";
        row["differences"] = json::array{"libvirt's command line has no such device"};
    }
    row["ours"] = std::move(ours);
    return row;
}

std::string check_text(const json::object& made) {
    std::string text = "libvirt " + string_at(made, "libvirt");
    const auto& machine = made.at("machine").as_object();
    if (machine.at("refused").is_null())
        text += ": machine " + printable(string_at(machine, "name")) + " of " +
                printable(string_at(machine, "emulator")) + ", at most " +
                number_at(machine, "vcpu_max") + " CPUs\n";
    else
        text += " refuses the machine: " + printable(string_at(machine, "refused")) + "\n";
    text += "domain " + printable(string_at(made, "name")) + ": " +
            (made.at("valid").as_bool() ? "valid"
                                        : "refused: " + printable(string_at(made, "refused"))) +
            "\n";
    for (const auto& each : made.at("devices").as_array()) {
        const auto& device = each.as_object();
        const auto verdict = string_at(device, "verdict");
        text += "  " + printable(string_at(device, "device")) + ": ";
        if (verdict == "same")
            text += "libvirt's -device and our device_add are the same\n";
        else if (verdict == "not_compared")
            text += "not compared: " + printable(string_at(device, "why")) + "\n";
        else
            for (const auto& difference : device.at("differences").as_array())
                text += "differs in " + printable(difference.as_string()) + "\n";
    }
    return text;
}

} // namespace

int xml_check(const Arguments& arguments, Io& io) {
    const auto subject = subject_of(arguments, io);
    auto notes = subject.domain.notes;
    LibvirtHelper helper;
    auto answer =
        helper.ask(request_of(subject.text, subject.domain, subject.domain.kvm ? "kvm" : "qemu"));
    std::string refused;
    if (part_of(answer, "capabilities", refused); !refused.empty() && subject.domain.kvm) {
        // Most likely no KVM here. The devices are the same without it.
        const auto without = helper.ask(request_of(subject.text, subject.domain, "qemu"));
        std::string still;
        if (part_of(without, "capabilities", still); still.empty()) {
            notes.push_back("checked as type='qemu', because libvirt says: " + refused);
            answer = without;
        }
    }
    std::string invalid, no_command_line;
    part_of(answer, "definition", invalid);
    const auto command_line = part_of(answer, "command_line", no_command_line);
    const auto theirs = xml::vfio_devices(command_line);
    json::array devices;
    bool same = true;
    for (const auto& hostdev : subject.domain.hostdevs) {
        devices.push_back(compared(hostdev, theirs, no_command_line));
        same = same && string_at(devices.back().as_object(), "verdict") == "same";
    }
    const json::object made{
        {"name", subject.domain.name},      {"libvirt", string_at(answer, "libvirt")},
        {"machine", machine_json(answer)},  {"valid", invalid.empty()},
        {"refused", text_or_null(invalid)}, {"devices", std::move(devices)},
        {"notes", json::value_from(notes)}};
    if (arguments.json) {
        io.out << json::serialize(made) << '\n';
    } else {
        for (const auto& note : notes)
            io.err << "kata-vfio: " << printable(note) << '\n';
        io.out << check_text(made);
    }
    return invalid.empty() && same ? 0 : exit_status(Errc::host_io);
}

} // namespace kata_vfio::cli
