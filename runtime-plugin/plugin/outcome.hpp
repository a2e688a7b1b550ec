// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/base/failure.hpp"
#include "runtime-plugin/plugin/sandbox_state.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace kata_vfio::plugin {

class Sandbox;

/// How a call ended: what kata_vfio_result_t shows, in C++.
struct Outcome {
    std::optional<Failure> failure; ///< nullopt: it succeeded
    std::shared_ptr<Sandbox> sandbox;
    std::vector<std::pair<std::string, Attachment>> attachments; ///< with their sandbox's id
    std::vector<SandboxState> sandboxes;
    boost::json::object json;
};

/// The failure an exception stands for; a foreign one becomes `internal` with its what().
Failure failure_from(const std::exception_ptr& error);

/// docs/json.md, "attachment": what attach, detach and list report.
boost::json::object attachment_json(const std::string& sandbox, const Attachment&);
/// Of all that the outcome has.
boost::json::array attachments_json(const Outcome&);
/// docs/json.md, "error".
boost::json::object failure_json(const Failure&);
/// docs/json.md, "sandbox".
boost::json::object sandbox_json(const SandboxState&);

} // namespace kata_vfio::plugin
