// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime-plugin/cli/arguments.hpp"
#include "runtime-plugin/cli/command_line.hpp"

#include <CLI/App.hpp>

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace kata_vfio::cli {

/// For CLI11: that an option's value is a `what` ("whole number of seconds") within these bounds.
CLI::Validator whole_number(std::int64_t least, std::int64_t most, const std::string& what);

/// Builds CLI11's parser over one Arguments: every verb and its options. Lives for one parse, on
/// one thread. Throws CLI::ParseError.
class Parser {
  public:
    Parser();
    Parser(const Parser&) = delete; // CLI11 keeps pointers into it
    Parser& operator=(const Parser&) = delete;

    std::variant<Arguments, Information> parse(std::vector<std::string> args);

    const CLI::App& app() const { return app_; }
    /// The deepest verb met so far, "sandbox open": what a fault is about.
    const std::string& deepest() const { return deepest_; }

  private:
    CLI::App* verb(CLI::App& parent, const std::string& name, Verb which,
                   const std::string& description, const std::string& examples);
    CLI::App* family(const std::string& name, const std::string& description,
                     const std::string& examples);
    /// What every option and operand has in common: see the constructor.
    void common_rules(CLI::App& app);
    void add_host_verbs();
    void add_sandbox_verbs();
    void add_top();
    void add_sandbox_id(CLI::App* sub);
    void add_qmp_verbs();
    void add_socket(CLI::App* sub);
    /// With --socket there is no ID in front of the command.
    void split_qmp_words();
    void add_config_verbs();
    void add_xml_verbs();
    void split_annotations();

    CLI::App app_;
    Arguments arguments_;
    std::vector<std::string> raw_annotations_;
    std::string deepest_;
};

} // namespace kata_vfio::cli
