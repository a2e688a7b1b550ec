// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/base/failure.hpp"

#include <optional>
#include <string>
#include <vector>

namespace CLI {
class App;
class Option;
class ParseError;
} // namespace CLI

namespace kata_vfio::cli {

/// The first word of a refused command line that no verb or option is called, with what was
/// probably meant; nullopt: all words are known, and something else is wrong. CLI11 itself
/// complains of what it misses first ("A subcommand is required").
std::optional<Failure> unknown_word(const CLI::App& app, const std::vector<std::string>& args);

/// An option that has another's name for its value, "--svg --json": CLI11 takes that for one.
std::optional<Failure> missing_value(const CLI::App& app, const std::vector<std::string>& args);

/// Takes no value.
bool is_flag(const CLI::Option& option);

/// CLI11's error in our words: what is wrong, where, and what is taken there. `verb` is the deepest
/// that was met, "sandbox open"; "" for none.
Failure misuse(const CLI::App& app, const std::string& verb, const CLI::ParseError& error);

} // namespace kata_vfio::cli
