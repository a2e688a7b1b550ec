// SPDX-License-Identifier: Apache-2.0
// Not to be included: see config/base/precompiled.hpp. The Asio of the tests that link qemu comes
// in by KATA_VFIO_PRECOMPILE_ASIO.
#pragma once

#ifdef KATA_VFIO_PRECOMPILE_ASIO
#include "qemu/precompiled.hpp"
#else
#include "config/base/precompiled.hpp"
#endif

#include <gmock/gmock.h>
#include <gtest/gtest.h>
