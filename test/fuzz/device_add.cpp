// SPDX-License-Identifier: Apache-2.0
// The device_add encoder, fed a JSON object with any of its fields: refused as documented, or one
// line that reads back as the same arguments, id and addr well-formed, each of the type QEMU wants.
#include "qemu/device_add.hpp"
#include "qemu/qmp/command.hpp"
#include "test/fuzz/fuzz.hpp"

#include <boost/json/parse.hpp>

using namespace kata_vfio::qemu;

namespace kata_vfio::fuzz {
namespace {

namespace json = boost::json;

std::optional<std::string> text(const json::object& given, std::string_view key) {
    const auto* value = given.if_contains(key);
    return value && value->is_string() ? std::optional(std::string(value->get_string()))
                                       : std::nullopt;
}

VfioDevice device_of(const json::object& given) {
    VfioDevice device(text(given, "id").value_or(""), text(given, "sysfsdev").value_or(""));
    device.addr = text(given, "addr");
    device.romfile = text(given, "romfile");
    device.display = text(given, "display");
    device.iommufd = text(given, "iommufd");
    device.bus = text(given, "bus").value_or(device.bus);
    device.driver = text(given, "driver").value_or(device.driver);
    if (const auto* rombar = given.if_contains("rombar"); rombar && rombar->is_int64())
        device.rombar = rombar->get_int64();
    if (const auto* many = given.if_contains("multifunction"); many && many->is_bool())
        device.multifunction = many->get_bool();
    return device;
}

void check(const json::object& arguments) {
    require(is_device_id(arguments.at("id").as_string()), "an id is one that QEMU can address");
    if (const auto* addr = arguments.if_contains("addr"))
        require(addr->is_string() && parse_addr(addr->get_string()), "addr is a slot, as text");
    if (const auto* many = arguments.if_contains("multifunction"))
        require(many->is_bool(), "a boolean is one");
    const auto line = serialise(device_add(arguments), 7);
    require(line.find('\n') == line.size() - 1, "a command is one line");
    const auto read = json::parse(line);
    require(read.at("arguments") == json::value(arguments) && read.at("id") == 7,
            "a command reads back as it was");
}

} // namespace

void one(std::string_view bytes) {
    json::error_code error;
    const auto value = json::parse(bytes, error);
    if (error || !value.is_object())
        return;
    refusal({Errc::invalid_argument},
            [&] { check(encode_device_add(device_of(value.get_object()))); });
}

} // namespace kata_vfio::fuzz
