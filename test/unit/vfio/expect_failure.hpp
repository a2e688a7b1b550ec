// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/base/failure.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace kata_vfio::test {

/// Runs `act`, expects a Failure with that code, and gives its whole text for more expectations.
template <class Act>
std::string failure_text(Errc code, Act act) {
    try {
        act();
    } catch (const Failure& failure) {
        EXPECT_EQ(name(failure.code()), name(code)) << failure.what();
        return failure.what();
    }
    ADD_FAILURE() << "nothing was thrown, expected " << name(code);
    return {};
}

} // namespace kata_vfio::test
