// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/base/failure.hpp"
#include "qemu/domain_xml/domain.hpp"

#include <pugixml.hpp>

#include <string>
#include <string_view>

namespace kata_vfio::qemu::domain_xml {

/// An XML text in memory, and where in it things are. Not for use outside this folder.
class Document {
  public:
    static constexpr std::size_t size_limit = 4u << 20;

    /// Throws Failure(invalid_argument) with the line for what is not well-formed, too long, or has
    /// a DOCTYPE.
    explicit Document(std::string_view xml);

    pugi::xml_node root() const { return tree_.document_element(); }
    /// From 1.
    int line_of(const pugi::xml_node& node) const;
    /// Failure(invalid_argument) "line 12: <hostdev>: " and `problem`.
    Failure refuse(const pugi::xml_node& node, const std::string& problem,
                   Errc code = Errc::invalid_argument) const;

    /// The attribute's value, "" when it is not there.
    static std::string value(const pugi::xml_node& node, const char* attribute);
    /// The element's text without white space at its ends.
    static std::string text(const pugi::xml_node& node);
    /// A whole number, decimal or after 0x hexadecimal, of at most `most`. Throws refuse().
    std::uint64_t number(const pugi::xml_node& node, const std::string& text,
                         const std::string& what, std::uint64_t most) const;
    /// <address domain= bus= slot= function=/>; what is not there is 0.
    PciPlace place(const pugi::xml_node& address) const;

  private:
    std::string_view xml_;
    pugi::xml_document tree_;
};

} // namespace kata_vfio::qemu::domain_xml
