// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/json/object.hpp>

#include <optional>
#include <string>

namespace kata_vfio::cli {

// What the sandbox verbs print for people, made of what they print for programs (docs/json.md).

/// attach's JSON with `uuid` and `guest_address` of the first attachment on top, for scripts; null
/// where it has none.
boost::json::object with_first_attachment(boost::json::object attached);

/// open's JSON with whether it was known before, and with which socket: `listed` is what `list ID`
/// said then.
boost::json::object with_earlier(boost::json::object sandbox,
                                 const std::optional<boost::json::object>& listed);
/// That it was, for people; "" when it was not.
std::string open_note(const boost::json::object& sandbox);

std::string open_text(const boost::json::object& sandbox);
std::string attach_text(const boost::json::object& attached);
/// The steps in order and the QMP commands to the byte.
std::string dry_run_text(const boost::json::object& plan);
std::string detach_text(const boost::json::object& detached);
std::string release_text(const boost::json::object& released);
std::string list_text(const boost::json::object& listed);

} // namespace kata_vfio::cli
