// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/base/failure.hpp"
#include "runtime-plugin/abi/kata_vfio.h"

#include <optional>
#include <string>
#include <string_view>

/// For our own hosts of the plugin (command, daemon, shim): what they take out of a result, which
/// is the plugin's only until its callback returns.
namespace kata_vfio {

inline std::string copy(kata_vfio_str_t text) {
    return text.len ? std::string(text.ptr, text.len) : std::string();
}

/// The caller keeps the text for as long as the call says.
inline kata_vfio_str_t view(std::string_view text) noexcept {
    return {text.data(), text.size()};
}

/// Why the call failed; none when it did not.
inline std::optional<Failure> failure_in(const kata_vfio_result_t& result) {
    if (result.status == KATA_VFIO_OK)
        return std::nullopt;
    Failure failure(static_cast<Errc>(result.status), copy(result.problem));
    failure.said(copy(result.said)).blocked_by(copy(result.blocker)).remedy(copy(result.remedy));
    if (result.action.len)
        failure.during(copy(result.action));
    return failure;
}

} // namespace kata_vfio
