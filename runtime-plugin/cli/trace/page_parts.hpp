// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace kata_vfio::cli {

// The files of page/, built in. The HTML has {{STYLE}}, {{SCRIPT}}, {{DATA}} and {{NONCE}} where
// those belong.
extern const std::string_view page_html, page_css, page_js;

} // namespace kata_vfio::cli
