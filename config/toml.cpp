// SPDX-License-Identifier: Apache-2.0
// toml++'s one definition (TOML_HEADER_ONLY=0 everywhere).
#define TOML_IMPLEMENTATION
#include <toml++/toml.h>
