// SPDX-License-Identifier: Apache-2.0
#include "qemu/domain_xml/machine_facts.hpp"

#include "qemu/domain_xml/document.hpp"

#include <sstream>

namespace kata_vfio::qemu::domain_xml {

MachineFacts read_facts(std::string_view xml) {
    const Document document(xml);
    const auto root = document.root();
    if (root.name() != std::string("domainCapabilities"))
        throw document.refuse(root, "these are no domain capabilities");
    MachineFacts facts;
    facts.emulator = Document::text(root.child("path"));
    facts.type = Document::text(root.child("domain"));
    facts.machine = Document::text(root.child("machine"));
    facts.arch = Document::text(root.child("arch"));
    if (const auto max = Document::value(root.child("vcpu"), "max"); !max.empty())
        facts.vcpu_max = document.number(root.child("vcpu"), max, "max", UINT32_MAX);
    for (const auto& list : root.child("devices").child("hostdev").children("enum"))
        if (Document::value(list, "name") == "subsysType")
            for (const auto& value : list.children("value"))
                facts.pci_hostdev = facts.pci_hostdev || Document::text(value) == "pci";
    return facts;
}

std::string for_any_host(std::string_view domain_xml, const std::string& type) {
    const Document checked(domain_xml);
    pugi::xml_document tree;
    tree.load_buffer(domain_xml.data(), domain_xml.size(), pugi::parse_full & ~pugi::parse_doctype,
                     pugi::encoding_utf8);
    const auto root = tree.document_element();
    root.attribute("type").set_value(type.c_str());
    for (auto& hostdev : root.child("devices").children("hostdev"))
        if (Document::value(hostdev, "type") == "pci" && !hostdev.child("driver"))
            hostdev.prepend_child("driver").append_attribute("name").set_value("vfio");
    std::ostringstream out;
    tree.save(out, "", pugi::format_raw, pugi::encoding_utf8);
    return out.str();
}

} // namespace kata_vfio::qemu::domain_xml
