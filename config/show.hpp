// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/schema.hpp"
#include "config/validate.hpp"

#include <boost/json/value.hpp>

#include <string>
#include <vector>

namespace kata_vfio::config {

/// The configuration in force as TOML that load() reads back to the same values, every key with
/// "# default" or "# file:line:col" (and what that overrides) behind it.
std::string show_toml(const Configuration&);

/// The same for programs:
/// {"files": ["..."],
///  "values": {"<table>": {"<key>": {"value": ..., "unit": "ms"|"", "default": bool,
///                                   "file": "...", "line": n, "column": n}}},
///  "warnings": [{"file", "line", "column", "key", "text"}]}
/// where file, line and column are left out for a default.
boost::json::value show_json(const Configuration&);

/// The list under "warnings" alone.
boost::json::value warnings_json(const std::vector<Warning>&);

/// [{"code": "machine_refused", "key", "file", "line", "column", "text", "remedy"}]
boost::json::value findings_json(const std::vector<Finding>&);

} // namespace kata_vfio::config
