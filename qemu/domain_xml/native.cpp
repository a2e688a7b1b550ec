// SPDX-License-Identifier: Apache-2.0
#include "qemu/domain_xml/native.hpp"

#include "config/base/failure.hpp"
#include "qemu/device_add.hpp"

#include <boost/json.hpp>

#include <map>
#include <set>

namespace kata_vfio::qemu::domain_xml {
namespace json = boost::json;
namespace {

std::string string_at(const json::object& object, std::string_view key) {
    const auto* value = object.if_contains(key);
    return value && value->is_string() ? std::string(value->get_string()) : std::string();
}

/// "0x5", "0x5.0x1", "05" and "05.1": QEMU reads all four (hw/core/qdev-properties-system.c,
/// set_pci_devfn). nullopt for anything else.
std::optional<SlotFunction> slot_of(std::string_view addr) {
    std::string plain;
    for (std::size_t i = 0; i < addr.size(); ++i)
        if (addr.substr(i, 2) == "0x" && (i == 0 || addr[i - 1] == '.'))
            ++i;
        else
            plain += addr[i];
    return parse_addr(plain);
}

/// What each property means, as text, with QEMU's defaults filled in (hw/vfio/pci.c,
/// vfio_pci_dev_properties; hw/pci/pci.c, pci_props).
std::map<std::string, std::string> meaning(const json::object& arguments) {
    std::map<std::string, std::string> meant{
        {"display", "off"}, {"multifunction", "false"}, {"rombar", "1"}};
    for (const auto& [key, value] : arguments) {
        const std::string name(key);
        if (name == "id" || name == "host" || name == "sysfsdev")
            continue;
        if (name == "addr" && value.is_string()) {
            const auto slot = slot_of(value.get_string());
            meant[name] = slot ? std::to_string(slot->slot) + "." + std::to_string(slot->function)
                               : "no slot: " + std::string(value.get_string());
            continue;
        }
        auto text = value.is_string() ? std::string(value.get_string()) : json::serialize(value);
        // Up to 9.1 QEMU takes a boolean as a word as well.
        if (name == "multifunction" && (text == "on" || text == "off"))
            text = text == "on" ? "true" : "false";
        meant[name] = text;
    }
    // Only function 0 has to have it: QEMU lets the others of the slot leave it out (hw/pci/pci.c,
    // pci_init_multifunction), and no guest looks at theirs.
    if (const auto addr = meant.find("addr"); addr != meant.end() && !addr->second.ends_with(".0"))
        meant["multifunction"] = "false";
    meant["the host's device"] = host_device(arguments);
    return meant;
}

} // namespace

std::vector<std::string> split_native(std::string_view line) {
    std::vector<std::string> words;
    std::string word;
    bool in_word = false, quoted = false;
    for (std::size_t i = 0; i < line.size(); ++i) {
        const char c = line[i];
        if (quoted) {
            if (c == '\'')
                quoted = false;
            else
                word += c;
        } else if (c == '\'') {
            quoted = in_word = true;
        } else if (c == '\\' && i + 1 < line.size()) {
            if (line[++i] != '\n') { // else the line only goes on
                word += line[i];
                in_word = true;
            }
        } else if (c == ' ' || c == '\n' || c == '\t') {
            if (in_word)
                words.push_back(std::move(word));
            word.clear();
            in_word = false;
        } else {
            word += c;
            in_word = true;
        }
    }
    if (quoted)
        throw Failure(Errc::invalid_argument, "a quote in the command line is not closed");
    if (in_word)
        words.push_back(std::move(word));
    return words;
}

std::vector<json::object> vfio_devices(std::string_view command_line) {
    std::vector<json::object> devices;
    const auto words = split_native(command_line);
    for (std::size_t i = 0; i + 1 < words.size(); ++i) {
        if (words[i] != "-device")
            continue;
        boost::system::error_code ec;
        const auto value = json::parse(words[i + 1], ec);
        if (!ec && value.is_object() &&
            string_at(value.get_object(), "driver").starts_with("vfio-"))
            devices.push_back(value.get_object());
    }
    return devices;
}

std::string host_device(const json::object& arguments) {
    // QEMU's own order (vfio_realize): sysfsdev wins over host.
    if (const auto sysfsdev = string_at(arguments, "sysfsdev"); !sysfsdev.empty())
        return sysfsdev;
    const auto host = string_at(arguments, "host");
    return host.empty() ? host : "/sys/bus/pci/devices/" + host;
}

std::vector<std::string> differences(const json::object& one, std::string_view left,
                                     const json::object& other, std::string_view right) {
    const auto a = meaning(one), b = meaning(other);
    std::set<std::string> names;
    for (const auto& each : {a, b})
        for (const auto& [name, value] : each)
            names.insert(name);
    std::vector<std::string> told;
    const auto text_of = [](const std::map<std::string, std::string>& in, const std::string& name) {
        const auto found = in.find(name);
        return found == in.end() ? std::string("nothing") : "'" + found->second + "'";
    };
    for (const auto& name : names)
        if (const auto l = text_of(a, name), r = text_of(b, name); l != r)
            told.push_back(name + ": " + std::string(left) + " has " + l + ", " +
                           std::string(right) + " " + r);
    return told;
}

} // namespace kata_vfio::qemu::domain_xml
