// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/libvirt/embedded.hpp"

#include "config/base/failure.hpp"

#include <boost/json.hpp>
#include <libvirt/virterror.h>

#include <cstdlib>
#include <thread>

namespace kata_vfio::libvirt {
namespace json = boost::json;
namespace {

std::string last_error() {
    const char* words = virGetLastErrorMessage();
    return words ? words : "";
}

/// Takes what libvirt has allocated.
json::object answer(char* text) {
    if (!text)
        return {{"refused", last_error()}};
    json::object made{{"text", text}};
    std::free(text);
    return made;
}

std::string text_at(const json::object& request, std::string_view key) {
    const auto* value = request.if_contains(key);
    return value && value->is_string() ? std::string(value->get_string()) : std::string();
}

const char* or_null(const std::string& text) {
    return text.empty() ? nullptr : text.c_str();
}

std::string version() {
    unsigned long number = 0;
    virGetVersion(&number, nullptr, nullptr);
    return std::to_string(number / 1000000) + "." + std::to_string(number / 1000 % 1000) + "." +
           std::to_string(number % 1000);
}

} // namespace

Embedded::Embedded(const std::filesystem::path& directory) {
    // libvirt itself tells its errors on stderr otherwise.
    virSetErrorFunc(nullptr, [](void*, virErrorPtr) {});
    if (virInitialize() < 0 || virEventRegisterDefaultImpl() < 0)
        throw Failure(Errc::host_io, "libvirt can't be initialised").said(last_error());
    // The driver's calls wait for what this loop brings them (QEMU's answers).
    std::thread([] {
        while (virEventRunDefaultImpl() >= 0) {
        }
    }).detach();
    const auto uri = "qemu:///embed?root=" + directory.string();
    connection_ = virConnectOpen(uri.c_str());
    if (!connection_)
        throw Failure(Errc::host_io, "libvirt's QEMU driver can't be used")
            .said(last_error())
            .remedy("install libvirt-daemon-driver-qemu; only xml check needs it");
}

json::object Embedded::check(const json::object& request) const {
    const auto xml = text_at(request, "xml"), command_xml = text_at(request, "command_xml"),
               emulator = text_at(request, "emulator"), machine = text_at(request, "machine"),
               type = text_at(request, "type");
    json::object made{{"libvirt", version()}};
    made["capabilities"] = answer(virConnectGetDomainCapabilities(
        connection_, or_null(emulator), nullptr, or_null(machine), or_null(type), 0));
    if (auto* domain =
            virDomainDefineXMLFlags(connection_, xml.c_str(), VIR_DOMAIN_DEFINE_VALIDATE)) {
        made["definition"] = answer(virDomainGetXMLDesc(domain, 0));
        virDomainUndefine(domain);
        virDomainFree(domain);
    } else {
        made["definition"] = answer(nullptr);
    }
    made["command_line"] =
        answer(virConnectDomainXMLToNative(connection_, "qemu-argv", command_xml.c_str(), 0));
    return made;
}

} // namespace kata_vfio::libvirt
