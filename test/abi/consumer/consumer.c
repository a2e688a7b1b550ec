/* SPDX-License-Identifier: Apache-2.0 */
/* Prints the version of the installed plugin. */
#include <kata_vfio.h>

#include <dlfcn.h>
#include <stdio.h>

int main(void) {
    void* library = dlopen(PLUGIN, RTLD_NOW | RTLD_LOCAL);
    const kata_vfio_entry_t* entry = library ? dlsym(library, KATA_VFIO_ENTRY_SYMBOL) : NULL;
    if (!kata_vfio_compatible(entry)) {
        fprintf(stderr, "%s: %s\n", PLUGIN, library ? "not of this ABI" : dlerror());
        return 1;
    }
    printf("%.*s\n", (int)entry->version.len, entry->version.ptr);
    return 0;
}
