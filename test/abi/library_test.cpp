// SPDX-License-Identifier: Apache-2.0
// The table itself, and loading the library.
#include "config/base/errc.hpp"
#include "test/abi/world.hpp"

#include <dlfcn.h>

namespace kata_vfio::abi_test {
namespace {

TEST(Library, TheTableIsWhole) {
    const auto& kv = library();
    EXPECT_EQ(kv.struct_size, sizeof(kata_vfio_entry_t));
    EXPECT_EQ(kv.abi_major, 1);
    EXPECT_EQ(kv.abi_minor, KATA_VFIO_ABI_MINOR);
    EXPECT_FALSE(copy(kv.version).empty());
    EXPECT_TRUE(kv.plugin_open && kv.plugin_close && kv.sandbox_open && kv.sandbox_close);
    EXPECT_TRUE(kv.sandbox_release && kv.attach && kv.detach && kv.list && kv.cancel && kv.wait);
    EXPECT_TRUE(kv.result_free && kv.status_name);
}

TEST(Library, CompatibleIsTheSameMajorAndNoShorterTable) {
    auto kv = library();
    EXPECT_TRUE(kata_vfio_compatible(&kv));
    kv.struct_size += 64; // younger
    kv.abi_minor += 1;
    EXPECT_TRUE(kata_vfio_compatible(&kv));
    kv.abi_major = 2;
    EXPECT_FALSE(kata_vfio_compatible(&kv));
    kv = library();
    kv.struct_size = offsetof(kata_vfio_entry_t, status_name);
    EXPECT_FALSE(kata_vfio_compatible(&kv));
    EXPECT_FALSE(kata_vfio_compatible(nullptr));
}

TEST(Library, HasIsByTheTablesOwnSize) {
    auto kv = library();
    EXPECT_TRUE(KATA_VFIO_HAS(&kv, status_name));
    kv.struct_size = offsetof(kata_vfio_entry_t, status_name) + sizeof(void*) - 1;
    EXPECT_FALSE(KATA_VFIO_HAS(&kv, status_name));
    kv.struct_size = sizeof kv;
    kv.status_name = nullptr;
    EXPECT_FALSE(KATA_VFIO_HAS(&kv, status_name));
}

TEST(Library, EveryStatusHasItsName) {
    std::size_t count = 0;
    for (const auto* row = errc_begin(); row != errc_end(); ++row, ++count)
        EXPECT_EQ(library().status_name(static_cast<kata_vfio_status_t>(row->code)), row->name);
    EXPECT_GE(count, 46u); // those of 1.0
    EXPECT_STREQ(library().status_name(KATA_VFIO_E_GROUP_NOT_VIABLE), "group_not_viable");
    EXPECT_STREQ(library().status_name(4711), "unknown");
    EXPECT_STREQ(library().status_name(-1), "unknown");
}

class Loading : public World {};

TEST_F(Loading, TwiceAndUnloadedWithAPluginOpen) {
    void* first = ::dlopen(library_path(), RTLD_NOW | RTLD_LOCAL);
    void* second = ::dlopen(library_path(), RTLD_NOW | RTLD_LOCAL);
    ASSERT_NE(first, nullptr) << ::dlerror();
    EXPECT_EQ(first, second);
    const auto* entry =
        static_cast<const kata_vfio_entry_t*>(::dlsym(first, KATA_VFIO_ENTRY_SYMBOL));
    EXPECT_EQ(entry, &library());
    start_with_sandbox();
    ::dlclose(first);
    ::dlclose(second);
    EXPECT_TRUE(host->list().ok());
}

} // namespace
} // namespace kata_vfio::abi_test
