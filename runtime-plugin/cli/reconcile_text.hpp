// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/json/object.hpp>

#include <string>

namespace kata_vfio::cli {

/// The report for people: a table of sandboxes, one of devices, and a line for each thing done,
/// left, or put aside.
std::string reconcile_text(const boost::json::object& report);

/// 0 when nothing is left to be seen to; else that of the first failure, of a removal that is
/// pending, or of a file that was put aside. 0 for a dry run: it only looked.
int reconcile_status(const boost::json::object& report);

} // namespace kata_vfio::cli
