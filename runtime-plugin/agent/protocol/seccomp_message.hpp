// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime-plugin/agent/protocol/message.hpp"

#include <boost/json/object.hpp>

namespace kata_vfio::agent {

// Of message.cpp: a process's `seccomp`. read_seccomp() throws ProtocolError.
SeccompFilter read_seccomp(const boost::json::object& object);
boost::json::object write_seccomp(const SeccompFilter& filter);

} // namespace kata_vfio::agent
