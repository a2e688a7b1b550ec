// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/json/object.hpp>

#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace google::protobuf {
class Message;
}

namespace kata_vfio::rpc {

// The one mapping between docs/json.md and the messages of kata_vfio.v1, by names (the messages are
// written so): a member is the field of its name; a word is the enum's value of that name in upper
// case behind the enum's own name; null is an absent field; a member that is JSON of somebody
// else's
// (`qmp`) is the text field of its name with _json behind it. Pure; any thread.

/// Sets the message's fields from the object's members. What the message does not know is left out
/// (the plugin may be younger than the service) and named in `unknown`, when given, as a path.
/// Throws std::invalid_argument for a member whose type the field can't take.
void fill(google::protobuf::Message& message, const boost::json::object& object,
          std::vector<std::string>* unknown = nullptr);

/// The message as docs/json.md has it: every field, in the order of the .proto file; an absent one
/// is null, but in a PlanStep, which has only those of its kind.
boost::json::object to_json(const google::protobuf::Message& message);

/// An object as to_json() gives: what QEMU said may be in it, which nests deeper than Boost.JSON
/// takes unasked. Throws boost::system::system_error.
boost::json::object parse(std::string_view text);

} // namespace kata_vfio::rpc
