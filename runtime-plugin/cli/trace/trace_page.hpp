// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime-plugin/cli/trace/trace.hpp"

#include <cstddef>
#include <string>

namespace kata_vfio::cli {

/// What a page may grow to; what is left out is said on it. Not an aggregate (see FrameLimits).
struct PageLimits {
    std::size_t items = 200000;       ///< commands, events and remarks
    std::size_t bodies = 8u << 20;    ///< bytes of all messages shown
    std::size_t one_body = 16u << 10; ///< bytes of one

    PageLimits() {}
};

/// The trace as one HTML page that needs nothing else. Devices, errors, events and what is slow or
/// unanswered have precedence over the rest, and the later over the earlier.
///
/// A hostile QEMU's words are data in it: they are in a JSON block in which every '<', '>' and '&'
/// is escaped, get into the document as text nodes only, and a Content-Security-Policy forbids any
/// script but the page's own and every access to the net.
std::string trace_page(const Trace& trace, const PageLimits& limits = {});

} // namespace kata_vfio::cli
