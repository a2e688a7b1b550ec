// SPDX-License-Identifier: Apache-2.0
// Whatever a client of the proxy sends: no exception, the same messages however the bytes come, and
// each answer ASCII in lines.
#include "qemu/qmp/proxy/client.hpp"
#include "qemu/qmp/proxy/input.hpp"
#include "test/fuzz/fuzz.hpp"

#include <boost/json/value.hpp>

#include <memory>

using namespace kata_vfio::qemu;

namespace kata_vfio::fuzz {

void one(std::string_view bytes) {
    ProxyInput whole, pieces;
    whole.feed(bytes);
    for (const char byte : bytes)
        pieces.feed({&byte, 1});
    while (const auto message = whole.next()) {
        const auto same = pieces.next();
        require(same && same->error == message->error && same->id == message->id,
                "the same messages whole and byte by byte");
    }
    require(!pieces.next(), "no message more in pieces");

    ProxyClient client(Greeting{}, ProxyPolicy(ProxyMode::unsafe));
    client.received("{'execute':'qmp_capabilities'}");
    const auto fd = std::make_shared<const kata_vfio::UniqueFd>();
    client.received(bytes.substr(0, bytes.size() / 2));
    client.received(fd);
    client.received(bytes.substr(bytes.size() / 2));
    while (const auto command = client.next()) {
        require(!command->fd || command->name == "getfd" || command->name == "add-fd",
                "a descriptor goes with the commands that take one");
        client.answer(boost::json::value(command->arguments));
    }
    for (const char c : client.unsent())
        require((c >= 0x20 && c <= 0x7E) || c == '\r' || c == '\n', "answers are ASCII");
}

} // namespace kata_vfio::fuzz
