// SPDX-License-Identifier: Apache-2.0
#include "qemu/qmp/proxy/client.hpp"
#include "qemu/qmp/proxy/input.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>

using namespace kata_vfio::qemu;

/// Whatever a client sends: no exception, the same messages however the bytes come, and each
/// answer one line of ASCII.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    ProxyInput whole, pieces;
    whole.feed(bytes);
    for (const char byte : bytes)
        pieces.feed({&byte, 1});
    while (const auto message = whole.next()) {
        const auto same = pieces.next();
        if (!same || same->error != message->error || same->id != message->id)
            std::abort();
    }
    if (pieces.next())
        std::abort();

    ProxyClient client(Greeting{}, ProxyPolicy(ProxyMode::unsafe));
    client.received("{'execute':'qmp_capabilities'}");
    client.received(bytes);
    while (const auto command = client.next())
        client.answer(boost::json::value(command->arguments));
    const auto output = client.unsent();
    for (std::size_t i = 0; i < output.size(); ++i)
        if (const char c = output[i]; (c < 0x20 || c > 0x7E) && c != '\r' && c != '\n')
            std::abort();
    return 0;
}
