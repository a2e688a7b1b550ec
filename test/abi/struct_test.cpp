// SPDX-License-Identifier: Apache-2.0
// Hosts built with an older or a younger header, and hosts that pass nonsense.
#include "test/abi/world.hpp"

#include <gmock/gmock.h>

#include <cstring>

namespace kata_vfio::abi_test {
namespace {

using ::testing::HasSubstr;

/// A struct of a younger header: what it grew by comes behind.
template <class T>
struct Younger {
    T known = KATA_VFIO_INIT(known);
    std::uint64_t appended = 0;

    Younger() { known.struct_size = sizeof *this; }
};

class Struct : public World {
  protected:
    kata_vfio_status_t attach(const kata_vfio_attach_t* request, kata_vfio_call_t* call) {
        return library().attach(sandbox, request, call);
    }
    kata_vfio_status_t attach(const kata_vfio_attach_t& request) {
        kata_vfio_call_t call = KATA_VFIO_INIT(call);
        return attach(&request, &call);
    }
    static kata_vfio_attach_t request_for(std::string_view device) {
        kata_vfio_attach_t request = KATA_VFIO_INIT(request);
        request.device = view(device);
        return request;
    }
};

TEST_F(Struct, AnOlderHostsAttachHasNoUuid) {
    start_with_sandbox();
    auto request = request_for(type8);
    request.struct_size = offsetof(kata_vfio_attach_t, uuid);
    std::memset(&request.uuid, 0xff, sizeof request.uuid); // not the host's any more: not read
    kata_vfio_call_t call = KATA_VFIO_INIT(call);
    ASSERT_EQ(attach(&request, &call), KATA_VFIO_OK);
    EXPECT_TRUE(host->wait(call.ticket).ok());
}

TEST_F(Struct, AYoungerHostsStructsWithTheirDefaults) {
    start_with_sandbox();
    Younger<kata_vfio_attach_t> request;
    request.known.device = view(type8);
    Younger<kata_vfio_call_t> call;
    ASSERT_EQ(attach(&request.known, &call.known), KATA_VFIO_OK);
    EXPECT_TRUE(host->wait(call.known.ticket).ok());
}

TEST_F(Struct, AYoungerHostThatWantsMoreThanWeKnow) {
    start_with_sandbox();
    const auto before = snapshot();
    Younger<kata_vfio_attach_t> request;
    request.known.device = view(type8);
    request.appended = 1;
    EXPECT_EQ(attach(request.known), KATA_VFIO_E_ABI_MISMATCH);
    Younger<kata_vfio_call_t> call;
    call.appended = 1;
    const auto plain = request_for(type8);
    EXPECT_EQ(attach(&plain, &call.known), KATA_VFIO_E_ABI_MISMATCH);
    expect_untouched(before);
}

TEST_F(Struct, SizesThatCannotBe) {
    start_with_sandbox();
    for (const std::uint32_t size : {0u, 4u, 23u, 4097u, ~0u}) {
        auto request = request_for(type8);
        request.struct_size = size;
        EXPECT_EQ(attach(request), KATA_VFIO_E_ABI_MISMATCH) << size;
        kata_vfio_call_t call = KATA_VFIO_INIT(call);
        call.struct_size = size;
        const auto plain = request_for(type8);
        EXPECT_EQ(attach(&plain, &call), KATA_VFIO_E_ABI_MISMATCH) << size;
        EXPECT_EQ(call.ticket, 0u);
    }
}

TEST_F(Struct, UnknownFlagsAndReservedMembers) {
    start_with_sandbox();
    auto request = request_for(type8);
    request.flags = 4;
    EXPECT_EQ(attach(request), KATA_VFIO_E_ABI_MISMATCH);
    request.flags = 0x80000001;
    EXPECT_EQ(attach(request), KATA_VFIO_E_ABI_MISMATCH);
    kata_vfio_call_t call = KATA_VFIO_INIT(call);
    call.reserved = 1;
    request.flags = 0;
    EXPECT_EQ(attach(&request, &call), KATA_VFIO_E_ABI_MISMATCH);
    kata_vfio_sandbox_options_t options = KATA_VFIO_INIT(options);
    options.reserved = 1;
    call.reserved = 0;
    EXPECT_EQ(library().sandbox_open(host->plugin(), &options, &call), KATA_VFIO_E_ABI_MISMATCH);
}

TEST_F(Struct, Nulls) {
    start_with_sandbox();
    const auto& kv = library();
    const auto request = request_for(type8);
    kata_vfio_call_t call = KATA_VFIO_INIT(call);
    constexpr auto invalid = KATA_VFIO_E_INVALID_ARGUMENT;
    EXPECT_EQ(kv.attach(nullptr, &request, &call), invalid);
    EXPECT_EQ(kv.attach(sandbox, nullptr, &call), invalid);
    EXPECT_EQ(kv.attach(sandbox, &request, nullptr), invalid);
    EXPECT_EQ(kv.detach(nullptr, view(type8), &call), invalid);
    EXPECT_EQ(kv.detach(sandbox, view(type8), nullptr), invalid);
    EXPECT_EQ(kv.list(nullptr, {}, &call), invalid);
    EXPECT_EQ(kv.list(host->plugin(), {}, nullptr), invalid);
    EXPECT_EQ(kv.sandbox_open(host->plugin(), nullptr, &call), invalid);
    EXPECT_EQ(kv.sandbox_open(nullptr, nullptr, &call), invalid);
    EXPECT_EQ(kv.sandbox_release(nullptr, view("sb1"), &call), invalid);
    EXPECT_EQ(kv.sandbox_release(host->plugin(), view("sb1"), nullptr), invalid);
    EXPECT_EQ(kv.plugin_open(nullptr, nullptr, nullptr, nullptr, 0), invalid);
    EXPECT_EQ(call.ticket, 0u);
}

TEST_F(Struct, StringsThatAreNone) {
    start_with_sandbox();
    constexpr auto invalid = KATA_VFIO_E_INVALID_ARGUMENT;
    EXPECT_EQ(attach([] {
                  auto request = request_for("");
                  request.device = {nullptr, 5};
                  return request;
              }()),
              invalid);
    const std::string long_text(65537, 'x');
    EXPECT_EQ(attach(request_for(long_text)), invalid);
    // Not UTF-8: a lone continuation, overlong, a surrogate, cut short, above U+10FFFF.
    for (const char* text :
         {"\xff", "\x80", "\xc0\xaf", "\xed\xa0\x80", "ab\xe2\x82", "\xf4\x90\x80\x80"})
        EXPECT_EQ(attach(request_for(text)), invalid) << testing::PrintToString(text);
    const auto plain = request_for("\xe2\x82\xac\xf0\x9f\x98\x80"); // UTF-8, though no device
    kata_vfio_call_t call = KATA_VFIO_INIT(call);
    ASSERT_EQ(attach(&plain, &call), KATA_VFIO_OK);
    EXPECT_EQ(host->wait(call.ticket).status, KATA_VFIO_E_MALFORMED_DEVICE);
}

// A text of the host's that JSON can't hold must not make the remembered state unreadable.
TEST_F(Struct, AnnotationsAreCheckedBeforeTheyAreRemembered) {
    start();
    kata_vfio_pair_t pair{view("io.kubernetes.pod.name"), view("\xff")};
    kata_vfio_sandbox_options_t options = KATA_VFIO_INIT(options);
    options.id = view("sb1");
    options.qmp_socket = view(machine->path());
    options.annotations = &pair;
    options.annotation_count = 1;
    kata_vfio_call_t call = KATA_VFIO_INIT(call);
    EXPECT_EQ(library().sandbox_open(host->plugin(), &options, &call),
              KATA_VFIO_E_INVALID_ARGUMENT);
    options.annotations = nullptr;
    EXPECT_EQ(library().sandbox_open(host->plugin(), &options, &call),
              KATA_VFIO_E_INVALID_ARGUMENT);
    options.annotation_count = 0;
    ASSERT_EQ(library().sandbox_open(host->plugin(), &options, &call), KATA_VFIO_OK);
    EXPECT_TRUE(host->wait(call.ticket).ok());
}

TEST_F(Struct, ThePluginsOptions) {
    const auto& kv = library();
    kata_vfio_plugin_t* plugin = nullptr;
    std::array<char, 64> text{};
    kata_vfio_plugin_options_t options = KATA_VFIO_INIT(options);
    const auto path = config.string();
    options.config_path = view(path);
    options.struct_size = 3;
    EXPECT_EQ(kv.plugin_open(nullptr, &options, &plugin, text.data(), text.size()),
              KATA_VFIO_E_ABI_MISMATCH);
    EXPECT_EQ(plugin, nullptr);
    EXPECT_THAT(text.data(), HasSubstr("kata_vfio_plugin_options_t says its size is 3 bytes"));
    options.struct_size = sizeof options;
    options.flags = 2;
    EXPECT_EQ(kv.plugin_open(nullptr, &options, &plugin, nullptr, 0), KATA_VFIO_E_ABI_MISMATCH);
    options.flags = 0;
    kata_vfio_host_t services = KATA_VFIO_INIT(services);
    services.reserved = 1;
    EXPECT_EQ(kv.plugin_open(&services, &options, &plugin, nullptr, 0), KATA_VFIO_E_ABI_MISMATCH);

    // An error text is cut to the buffer, and closed by a zero.
    options.config_path = view("/does/not/exist.toml");
    std::array<char, 8> small;
    small.fill('#');
    EXPECT_EQ(kv.plugin_open(nullptr, &options, &plugin, small.data(), small.size()),
              KATA_VFIO_E_CONFIG_INVALID);
    EXPECT_EQ(std::string(small.data()), "/does/n");
    EXPECT_EQ(kv.plugin_open(nullptr, &options, &plugin, small.data(), 0),
              KATA_VFIO_E_CONFIG_INVALID);

    // A host of the oldest size: no services, host_root in place of what came later.
    options.config_path = view(path);
    services.reserved = 0;
    services.struct_size = offsetof(kata_vfio_host_t, log);
    services.log = reinterpret_cast<decltype(services.log)>(1); // not read
    const auto root_path = root.path().string();
    options.host_root = view(root_path);
    ASSERT_EQ(kv.plugin_open(&services, &options, &plugin, nullptr, 0), KATA_VFIO_OK);
    kv.plugin_close(plugin);
}

} // namespace
} // namespace kata_vfio::abi_test
