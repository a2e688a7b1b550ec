// SPDX-License-Identifier: Apache-2.0
#include "qemu/domain_xml/document.hpp"

#include "config/base/text.hpp"

#include <algorithm>
#include <charconv>

namespace kata_vfio::qemu::domain_xml {
namespace {

int line_at(std::string_view xml, std::size_t offset) {
    const auto before = xml.substr(0, std::min(offset, xml.size()));
    return 1 + static_cast<int>(std::count(before.begin(), before.end(), '\n'));
}

} // namespace

Document::Document(std::string_view xml) : xml_(xml) {
    if (xml.size() > size_limit)
        throw Failure(Errc::invalid_argument, "the XML is longer than 4 MiB");
    // As it stands: pugixml would take other encodings by their look, libvirt writes UTF-8.
    const auto read = tree_.load_buffer(
        xml.data(), xml.size(), pugi::parse_default | pugi::parse_doctype, pugi::encoding_utf8);
    if (!read)
        throw Failure(Errc::invalid_argument,
                      "line " +
                          std::to_string(line_at(xml, static_cast<std::size_t>(read.offset))) +
                          ": this is no well-formed XML")
            .said(read.description());
    for (const auto& node : tree_.children())
        if (node.type() == pugi::node_doctype)
            throw Failure(Errc::invalid_argument, "the XML has a DOCTYPE")
                .remedy("write what its entities stand for, and leave it out");
}

int Document::line_of(const pugi::xml_node& node) const {
    return line_at(xml_,
                   static_cast<std::size_t>(std::max<std::ptrdiff_t>(0, node.offset_debug())));
}

Failure Document::refuse(const pugi::xml_node& node, const std::string& problem, Errc code) const {
    return Failure(code,
                   "line " + std::to_string(line_of(node)) + ": <" + node.name() + ">: " + problem);
}

std::string Document::value(const pugi::xml_node& node, const char* attribute) {
    return node.attribute(attribute).value();
}

std::string Document::text(const pugi::xml_node& node) {
    return std::string(trim(node.text().get()));
}

std::uint64_t Document::number(const pugi::xml_node& node, const std::string& text,
                               const std::string& what, std::uint64_t most) const {
    const bool hexadecimal = text.starts_with("0x") || text.starts_with("0X");
    const auto* begin = text.data() + (hexadecimal ? 2 : 0);
    const auto* end = text.data() + text.size();
    std::uint64_t number = 0;
    const auto [stop, error] = std::from_chars(begin, end, number, hexadecimal ? 16 : 10);
    if (begin == end || stop != end || error != std::errc() || number > most)
        throw refuse(node,
                     what + " " + quoted(text) + " is no number from 0 to " + std::to_string(most));
    return number;
}

PciPlace Document::place(const pugi::xml_node& address) const {
    const auto part = [&](const char* name, std::uint64_t most) {
        const auto text = value(address, name);
        return text.empty() ? 0u : static_cast<unsigned>(number(address, text, name, most));
    };
    return {part("domain", 0xffff), part("bus", 0xff), part("slot", 0x1f), part("function", 7)};
}

} // namespace kata_vfio::qemu::domain_xml
