// SPDX-License-Identifier: Apache-2.0
// What a host hands over the C ABI: byte 0 chooses the struct, the next four are its struct_size,
// the rest its members and a string's bytes. Each struct lies in a block of just the size it
// claims, so that reading past it is seen; one that claims more than can be is refused by its size
// alone.
#include "runtime-plugin/abi/read_struct.hpp"
#include "runtime-plugin/abi/read_text.hpp"
#include "test/fuzz/fuzz.hpp"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <cstdlib>
#include <memory>

namespace kata_vfio::fuzz {
namespace {

struct Free {
    void operator()(void* block) const { std::free(block); }
};
using Block = std::unique_ptr<char, Free>;

/// `bytes`, cut or zero-filled to `size`, at the very end of a heap block.
Block block_of(std::string_view bytes, std::size_t size) {
    Block block(static_cast<char*>(std::malloc(size)));
    std::memset(block.get(), 0, size);
    std::memcpy(block.get(), bytes.data(), std::min(size, bytes.size()));
    return block;
}

template <class T>
void check_struct(std::string_view bytes, std::size_t least) {
    std::uint32_t claimed = 0;
    std::memcpy(&claimed, bytes.data(), sizeof claimed);
    const bool possible = claimed >= least && claimed <= 4096;
    const std::size_t size = possible ? claimed : sizeof claimed;
    const auto block = block_of(bytes, size);
    const auto refused = refusal({Errc::abi_mismatch, Errc::invalid_argument}, [&] {
        const T read = abi::read_struct(reinterpret_cast<const T*>(block.get()), "a struct", least);
        const auto known = std::min(size, sizeof(T));
        T zero{};
        require(std::memcmp(&read, block.get(), known) == 0, "what is given is taken as it is");
        require(std::memcmp(reinterpret_cast<const char*>(&read) + known, &zero,
                            sizeof(T) - known) == 0,
                "what is not given is zero");
    });
    require(possible || refused, "an impossible size is refused");
}

void check_text(std::string_view bytes) {
    const auto block = block_of(bytes, bytes.size());
    const auto refused = refusal({Errc::invalid_argument}, [&] {
        const auto text = abi::read_text({block.get(), bytes.size()}, "a text");
        require(text == bytes, "a text is taken as it is");
        require(boost::json::parse(boost::json::serialize(boost::json::value(text))) ==
                    boost::json::value(text),
                "what is taken can be remembered in JSON");
    });
    boost::json::error_code unreadable;
    boost::json::parse(boost::json::serialize(boost::json::value(bytes)), unreadable);
    require(!refused || unreadable, "only what is not UTF-8 is refused");
    const auto one_byte = block_of("x", 1);
    for (const kata_vfio_str_t wrong : {kata_vfio_str_t{one_byte.get(), 65537 + bytes.size()},
                                        kata_vfio_str_t{nullptr, bytes.size() + 1}})
        require(
            refusal({Errc::invalid_argument}, [&] { abi::read_text(wrong, "a text"); }).has_value(),
            "an impossible length is refused unread");
}

} // namespace

void one(std::string_view bytes) {
    if (bytes.size() < 5)
        return;
    const auto kind = static_cast<unsigned char>(bytes[0]);
    bytes.remove_prefix(1);
    switch (kind % 6) {
    case 0:
        return check_struct<kata_vfio_host_t>(bytes, offsetof(kata_vfio_host_t, user_data));
    case 1:
        return check_struct<kata_vfio_plugin_options_t>(
            bytes, offsetof(kata_vfio_plugin_options_t, config_path));
    case 2:
        return check_struct<kata_vfio_sandbox_options_t>(
            bytes, offsetof(kata_vfio_sandbox_options_t, annotations));
    case 3:
        return check_struct<kata_vfio_attach_t>(bytes, offsetof(kata_vfio_attach_t, uuid));
    case 4:
        return check_struct<kata_vfio_call_t>(bytes, offsetof(kata_vfio_call_t, ticket) +
                                                         sizeof(kata_vfio_call_t::ticket));
    default:
        return check_text(bytes);
    }
}

} // namespace kata_vfio::fuzz
