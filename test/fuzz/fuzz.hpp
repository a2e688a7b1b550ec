// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/base/failure.hpp"

#include <initializer_list>
#include <optional>
#include <source_location>
#include <string_view>

/// What every fuzz target is made of: one() with what it promises, and require() for each promise.
/// A crash, a sanitizer's report, an exception that leaves one(), more than 20 s or 1 GiB for one
/// input: each is a finding, and libFuzzer keeps the input.
namespace kata_vfio::fuzz {

/// The target: what it does with one input. Defined in NAME.cpp. `bytes` end at the end of their
/// heap block, so that reading past them is seen.
void one(std::string_view bytes);

/// Ends the process with `promise` and its place unless it holds.
void require(bool holds, std::string_view promise,
             std::source_location at = std::source_location::current());

/// The first line of `rest` without its newline; `rest` is then what comes after it.
std::string_view take_line(std::string_view& rest);

/// Runs `call` and returns the Failure it ended with, none if it ended well. A code that is not in
/// `documented` is a finding, as is any other exception, which is not caught here.
template <class Call>
std::optional<Failure> refusal(std::initializer_list<Errc> documented, Call&& call,
                               std::source_location at = std::source_location::current()) {
    try {
        call();
    } catch (const Failure& failure) {
        bool known = false;
        for (const auto code : documented)
            known = known || code == failure.code();
        require(known, "only documented codes are thrown", at);
        require(!failure.problem().empty(), "a refusal says what is wrong", at);
        return failure;
    }
    return std::nullopt;
}

} // namespace kata_vfio::fuzz
