// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "qemu/qmp/error.hpp"
#include "qemu/qmp/message.hpp"

#include <boost/json/value.hpp>

#include <string>

namespace kata_vfio::cli {

/// Over several lines, two columns a level, no newline at the end.
std::string pretty_json(const boost::json::value& value);

/// "2026-11-24T15:12:47.000042Z STOP {"data": 1}\n"; without a time that QEMU could not tell.
/// One that QEMU did not send is marked "(synthesised)".
std::string event_text(const qemu::Event& event);

/// QEMU's refusal with its own words, always of exit status 5: QmpFailure's code may be another.
Failure qemu_says(const qemu::QmpFailure& refused);

} // namespace kata_vfio::cli
