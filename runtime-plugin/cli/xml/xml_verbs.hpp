// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/base/failure.hpp"
#include "qemu/domain_xml/domain.hpp"
#include "runtime-plugin/cli/arguments.hpp"
#include "runtime-plugin/cli/io.hpp"

#include <boost/json/object.hpp>

#include <string>
#include <vector>

namespace kata_vfio::cli {

// `kata-vfio xml ...`. Export and import need no libvirt; check asks it (libvirt_helper.hpp). Each
// prints its result and returns the exit status; they throw Failure.
int xml_export(const Arguments& arguments, Io& io);
int xml_import(const Arguments& arguments, Io& io);
int xml_check(const Arguments& arguments, Io& io);

/// The machine that a sandbox (of `list`) is, with its plugged devices. Memory, CPUs and emulator
/// are the configuration's: they are not on record. `notes` of the domain has what was left out.
qemu::domain_xml::Domain exported_domain(const Arguments& arguments, const std::string& id, Io& io);

/// The configuration, as TOML, of which the domain is a sandbox.
std::string configuration_of(const qemu::domain_xml::Domain& domain);

/// That each vGPU's UUID is one as the kernel writes it: in upper case it would be another name of
/// the device here. Throws Failure(malformed_uuid), naming the line.
void require_uuids(const qemu::domain_xml::Domain& domain);

/// That the emulator of a domain from elsewhere is the configuration's, or one that nobody besides
/// root and this user can change: libvirt runs it to ask what it can do. Throws Failure(host_io).
void require_own_emulator(const Arguments& arguments, const qemu::domain_xml::Domain& domain);

/// The file's text, of at most 4 MiB; "-" is standard input. Throws as read_named_file().
std::string read_document(const std::string& file);

/// Adds to what a document was refused for which it was, and what to do where that is not told.
void tell_document(Failure& failure, const std::string& file);

} // namespace kata_vfio::cli
