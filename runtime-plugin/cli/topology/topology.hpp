// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime-plugin/cli/arguments.hpp"
#include "runtime-plugin/cli/io.hpp"

#include <boost/json/object.hpp>

#include <functional>
#include <ostream>
#include <string>

namespace kata_vfio::cli {

/// What `gpus --all`, `types`, `vgpus` and `list` print for programs (docs/json.md): all that the
/// picture is made of. Each is taken at its own instant, so a device that one of them has and
/// another has not is no error.
struct TopologySources {
    boost::json::object functions, types, vgpus;
    boost::json::object sandboxes; ///< empty: could not be read
};

/// Joins them into the object of docs/json.md, "topology". Without `all` the PCI functions are
/// those that matter here: displays, parents of vGPUs, and what is on VFIO, claimed or attached.
boost::json::object join_topology(const TopologySources& sources, bool all);

/// Asks `run` for the listings: in this process, or of the daemon. What it notes for people on its
/// stream is passed on to `io.err`, a line once; state that may not be read is one more such note.
boost::json::object topology(const Arguments& arguments, Io& io,
                             const std::function<boost::json::object(const Arguments&, Io&)>& run);

/// For people: the host's functions with what is below each, then the sandboxes' root buses.
std::string topology_text(const boost::json::object& topology);

/// The same as one SVG 1.1 picture: groups around functions on the left, vGPUs in the middle,
/// sandboxes with their slots on the right, and a line from each device to the slot it is in.
/// Needs nothing from elsewhere (no font, script or link); every text of the host is escaped.
std::string topology_svg(const boost::json::object& topology);

/// "slot 05" of an attachment that is plugged, else what it waits for.
std::string place_text(const boost::json::object& attachment);

} // namespace kata_vfio::cli
