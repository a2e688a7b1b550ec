// SPDX-License-Identifier: Apache-2.0
// What every test file of this suite begins with. Names are opened here, so it is for those alone.
#pragma once

#include "client.hpp"
#include "machine.hpp"
#include "qemu/machine.hpp"
#include "qemu/qmp/error.hpp"
#include "qemu_process.hpp"

#include <gtest/gtest.h>

using namespace kata_vfio;
using namespace kata_vfio::qemu;
using namespace kata_vfio::behaviour;
using namespace std::chrono_literals;
using fake::failure_of;
using fake::run;
namespace asio = boost::asio;
namespace json = boost::json;
