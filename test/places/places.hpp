// SPDX-License-Identifier: Apache-2.0
// Where this checkout and this build are. In one file, and not on every compiler's command line:
// what is compiled in one checkout is then good for the next one (ccache).
#pragma once

namespace kata_vfio::test {

extern const char* const source_dir;
extern const char* const binary_dir;
extern const char* const fixtures_dir; ///< test/fixtures
extern const char* const library;      ///< libkata_vfio.so
extern const char* const crash_child;  ///< of the crash matrix

} // namespace kata_vfio::test
