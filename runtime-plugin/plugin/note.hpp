// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/base/failure.hpp"

#include <string>

namespace kata_vfio::plugin {

/// Behind what the failure says to do already.
inline void append_note(Failure& failure, const std::string& note) {
    failure.remedy(failure.advice().empty() ? note : failure.advice() + "; " + note);
}

} // namespace kata_vfio::plugin
