// SPDX-License-Identifier: Apache-2.0
// Read by every file of the daemon, and slow to read.
#pragma once

#include "kata_vfio/v1/sandboxes.grpc.pb.h"

#include <boost/asio.hpp>
#include <boost/json.hpp>
#include <grpcpp/server_builder.h>
#include <grpcpp/support/server_callback.h>
