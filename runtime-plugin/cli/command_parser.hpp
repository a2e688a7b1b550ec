// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime-plugin/cli/arguments.hpp"
#include "runtime-plugin/cli/command_line.hpp"

#include <CLI/App.hpp>

#include <string>
#include <variant>
#include <vector>

namespace kata_vfio::cli {

/// For CLI11: what is wrong with an option's value.
std::string not_empty(const std::string& value);

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
