// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "mdev/mdev_type.hpp"

#include <boost/json/object.hpp>

#include <string>
#include <vector>

namespace kata_vfio::cli {

/// {"types": [...]}, docs/json.md
boost::json::object types_json(const std::vector<mdev::MdevParent>& parents);
/// Of types_json().
std::string types_table(const boost::json::object& listed);

/// What a guest gets with the type, on one line: GVT's resources, or the driver's own words.
std::string resources_text(const boost::json::object& type);

} // namespace kata_vfio::cli
