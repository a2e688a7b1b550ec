// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "qemu/qmp/command.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kata_vfio::cli {

/// What a person types -> a QMP command. Pure.
///
///     device_add driver=virtio-mouse-pci id=m0        a value that is JSON is that, else a text
///     blockdev-add node-name=x file.driver=null-co     a dot goes into an object
///     qom-get {"path": "/machine", "property": "type"} a JSON object gives several at once
///
/// Throws Failure(invalid_argument) for a word that is none of these, or one name given twice.
qemu::Command qmp_command(const std::vector<std::string>& words);

/// A line as a shell would take it apart, but that white space and quotes inside of JSON are left
/// as they are; '...' is one word, as it stands. Throws Failure(invalid_argument) when a quote or a
/// bracket is not closed.
std::vector<std::string> qmp_words(std::string_view line);

/// The command of a line; a whole QMP message ({"execute": ...}) is one as well. nullopt: the line
/// is empty or begins with '#'.
std::optional<qemu::Command> qmp_line(std::string_view line);

} // namespace kata_vfio::cli
