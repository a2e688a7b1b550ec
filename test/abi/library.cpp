// SPDX-License-Identifier: Apache-2.0
#include "test/abi/library.hpp"
#include "test/places/places.hpp"

#include <dlfcn.h>

#include <stdexcept>

namespace kata_vfio::abi_test {

const char* library_path() {
    return test::library;
}

const kata_vfio_entry_t& library() {
    static const kata_vfio_entry_t* entry = [] {
        void* handle = ::dlopen(library_path(), RTLD_NOW | RTLD_LOCAL);
        if (!handle)
            throw std::runtime_error(::dlerror());
        const auto* found =
            static_cast<const kata_vfio_entry_t*>(::dlsym(handle, KATA_VFIO_ENTRY_SYMBOL));
        if (!kata_vfio_compatible(found))
            throw std::runtime_error("not a kata-vfio plugin of this ABI");
        return found;
    }();
    return *entry;
}

} // namespace kata_vfio::abi_test
