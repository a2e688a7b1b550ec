// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/base/failure.hpp"
#include "qemu/domain_xml/domain.hpp"

#include <pugixml.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace kata_vfio::qemu::domain_xml {

/// An XML text in memory, and where in it things are. Not for use outside this folder.
class Document {
  public:
    static constexpr std::size_t size_limit = 4u << 20;

    /// Throws Failure(invalid_argument) with the line for what is too long, not well-formed, or may
    /// be another document to another reader of the same bytes (libvirt's): a DOCTYPE, an encoding
    /// other than UTF-8, bytes that are none or that XML has not, a second root, text beside it, an
    /// attribute that is there twice.
    explicit Document(std::string_view xml);

    pugi::xml_node root() const { return tree_.document_element(); }
    /// From 1.
    int line_of(const pugi::xml_node& node) const;
    /// Failure(invalid_argument) "line 12: <hostdev>: " and `problem`.
    Failure refuse(const pugi::xml_node& node, const std::string& problem,
                   Errc code = Errc::invalid_argument) const;

    /// The child of that name, empty when there is none. Throws refuse() when there are two: one of
    /// them would be lost without a word.
    pugi::xml_node child(const pugi::xml_node& node, const char* name) const;
    /// Whether the attribute is `yes`; false when it is `no`, or not there. Throws refuse().
    bool flag(const pugi::xml_node& node, const char* attribute, std::string_view yes,
              std::string_view no) const;
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
    int line_at(std::size_t offset) const;
    Failure refuse_at(std::size_t offset, const std::string& problem) const;
    void require_text() const;
    void require_one_root() const;
    void require_attributes_once() const;

    std::string_view xml_;
    std::vector<std::size_t> lines_; ///< where each begins; documents of as many devices are read
    pugi::xml_document tree_;
};

} // namespace kata_vfio::qemu::domain_xml
