// SPDX-License-Identifier: Apache-2.0
#include "qemu/domain_xml/document.hpp"

#include "config/base/text.hpp"
#include "config/base/utf8.hpp"

#include <strings.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <unordered_set>

namespace kata_vfio::qemu::domain_xml {
namespace {

constexpr auto take_out = "take it out of the XML";

bool is_text(unsigned char c) noexcept {
    return c >= 0x20 || c == '\t' || c == '\n' || c == '\r';
}

} // namespace

Document::Document(std::string_view xml) : xml_(xml) {
    if (xml.size() > size_limit)
        throw Failure(Errc::invalid_argument, "the XML is longer than 4 MiB")
            .remedy("give one domain, or one node device, at a time");
    lines_.push_back(0);
    for (std::size_t i = 0; i < xml.size(); ++i)
        if (xml[i] == '\n')
            lines_.push_back(i + 1);
    require_text();
    // As it stands: pugixml would take other encodings by their look, libvirt writes UTF-8. As a
    // fragment, since it else skips text outside of the root.
    const auto read = tree_.load_buffer(xml.data(), xml.size(),
                                        pugi::parse_default | pugi::parse_doctype |
                                            pugi::parse_declaration | pugi::parse_fragment,
                                        pugi::encoding_utf8);
    if (!read)
        throw refuse_at(static_cast<std::size_t>(read.offset), "this is no well-formed XML")
            .said(read.description());
    require_one_root();
    require_attributes_once();
}

int Document::line_at(std::size_t offset) const {
    const auto next = std::upper_bound(lines_.begin(), lines_.end(), offset);
    return static_cast<int>(next - lines_.begin());
}

Failure Document::refuse_at(std::size_t offset, const std::string& problem) const {
    return Failure(Errc::invalid_argument,
                   "line " + std::to_string(line_at(offset)) + ": " + problem);
}

void Document::require_text() const {
    const auto refuse_byte = [&](std::size_t at, const std::string& what) {
        char byte[8];
        std::snprintf(byte, sizeof byte, "0x%02x", static_cast<unsigned char>(xml_[at]));
        return refuse_at(at, std::string("byte ") + byte + what)
            .remedy("write it as virsh does, in UTF-8 and without control characters");
    };
    for (std::size_t i = 0; i < xml_.size(); ++i)
        if (!is_text(static_cast<unsigned char>(xml_[i])))
            throw refuse_byte(i, " is no character of XML");
    if (const auto valid = valid_utf8_length(xml_); valid < xml_.size())
        throw refuse_byte(valid, " is no UTF-8");
}

void Document::require_one_root() const {
    bool root = false;
    auto beside = std::string_view::npos; // where text is
    for (const auto& node : tree_.children()) {
        const auto offset =
            static_cast<std::size_t>(std::max<std::ptrdiff_t>(0, node.offset_debug()));
        const auto encoding = value(node, "encoding");
        switch (node.type()) {
        case pugi::node_doctype:
            throw Failure(Errc::invalid_argument, "the XML has a DOCTYPE")
                .remedy("write what its entities stand for, and leave it out");
        case pugi::node_declaration:
            if (!encoding.empty() && ::strcasecmp(encoding.c_str(), "UTF-8") != 0)
                throw refuse_at(offset, "encoding " + quoted(encoding) + " is not UTF-8")
                    .remedy("convert it (iconv -t UTF-8), and name that");
            break;
        case pugi::node_pcdata:
        case pugi::node_cdata:
            beside = std::min(beside, offset);
            break;
        case pugi::node_element:
            if (root)
                throw refuse(node, "the XML has a second document")
                    .remedy("give one domain, or one node device, at a time");
            root = true;
            break;
        default:
            break;
        }
    }
    if (!root)
        throw refuse_at(0, "this is no well-formed XML").said("it has no element");
    if (beside != std::string_view::npos)
        throw refuse_at(beside, "there is text outside of the XML's root").remedy(take_out);
}

void Document::require_attributes_once() const {
    struct Walker : pugi::xml_tree_walker {
        explicit Walker(const Document& in) : document(in) {}
        bool for_each(pugi::xml_node& node) override {
            std::unordered_set<std::string_view> seen;
            for (const auto& attribute : node.attributes())
                if (!seen.insert(attribute.name()).second)
                    throw document
                        .refuse(node, "attribute " + quoted(std::string_view(attribute.name())) +
                                          " stands there twice")
                        .remedy("leave one of them");
            return true;
        }
        const Document& document;
    };
    Walker walker(*this);
    pugi::xml_node top = tree_;
    top.traverse(walker);
}

pugi::xml_node Document::child(const pugi::xml_node& node, const char* name) const {
    const auto found = node.child(name);
    if (const auto second = found.next_sibling(name))
        throw refuse(second, std::string("the second in <") + node.name() + ">")
            .remedy("leave one of them");
    return found;
}

bool Document::flag(const pugi::xml_node& node, const char* attribute, std::string_view yes,
                    std::string_view no) const {
    const auto text = value(node, attribute);
    if (!text.empty() && text != yes && text != no)
        throw refuse(node, std::string(attribute) + " " + quoted(text) + " is neither '" +
                               std::string(yes) + "' nor '" + std::string(no) + "'")
            .remedy("write one of them, or leave it out");
    return text == yes;
}

int Document::line_of(const pugi::xml_node& node) const {
    return line_at(static_cast<std::size_t>(std::max<std::ptrdiff_t>(0, node.offset_debug())));
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
                     what + " " + quoted(text) + " is no number from 0 to " + std::to_string(most))
            .remedy("write one, decimal or after 0x hexadecimal");
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
