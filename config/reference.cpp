// SPDX-License-Identifier: Apache-2.0
#include "config/reference.hpp"

#include "config/kata_keys.hpp"
#include "config/keys.hpp"

namespace kata_vfio::config {
namespace {

constexpr std::string_view head = R"(# Configuration

kata-vfio reads Kata's `configuration.toml` as it is; its own keys stand in a `[vfio]` table of the
same file, which Kata ignores. This file is written from the schema in `config/keys.cpp`
(`KATA_VFIO_REGENERATE=1` with the test program `unit_config`) and a test keeps the two equal.

## Which file

1. The file that `KATA_CONF_FILE` names, if it is set; nothing else is then looked at.
2. `/etc/kata-containers/configuration.toml`
3. `/usr/share/defaults/kata-containers/configuration.toml`
4. `/opt/kata/share/defaults/kata-containers/configuration.toml`, then `configuration-qemu.toml` there: kata-static's

Then the drop-ins: every file of the directory `config.d/` beside the main file (beside what it
points to, when it is a symbolic link), in the byte order of their names, whatever the suffix. Each
key they set replaces the earlier value; a list replaces a list. Directories and other things that
are no file are skipped with a warning; a drop-in that can't be read is an error.

## What is refused, and what is only told

Everything wrong is told at once, a line each, as `file:line:col key: why`, values of the wrong type and
broken rules together, and the exit status of the command line is 3; of a file that is no TOML only that.
`kata-vfio config check` does all of it without touching anything,
`kata-vfio config show` prints every value in force and where it came from, and
`kata-vfio config enable` sets `hotplug_vfio_on_root_bus` and leaves every other byte as it is.

| rule | what breaks it |
| --- | --- |
| `machine_type_is_pc` | `machine_type` that is neither `pc` nor `pc-i440fx-*` |
| `accelerators_keep_the_machine` | `type=` in `machine_accelerators` |
| `root_bus_is_on` | `hotplug_vfio_on_root_bus` false, missing, commented out, misspelt, or turned off by a drop-in |
| `one_root_filesystem` | `image` and `initrd` both set |
| `viommu_is_off` | `enable_iommu` true |
| `kernel_params_fit` | `kernel_params` over 2047 bytes, or with a control character |
| `extra_monitor_is_for_debugging` | `extra_monitor_socket` without `enable_debug` |
| `state_dir_is_usable` | `state_dir` relative, `/`, with `.` or `..` in it, or over 64 bytes |
| `resend_is_within_unplug` | `unplug_resend` not below `unplug` |
| `redactions_name_members` | an entry of `qmp_log_redact` that is empty or has an empty step (`a..b`) |
| `vgpu_is_whole` | in `[vfio.vgpu]`: a size that is none, or `parent` or `keep` without what kind of vGPU |
| `rootless_uids_are_a_range` | `rootless_uids` is not FIRST-LAST, or has 0 in it |
| `daemon_socket_is_usable` | `socket` of `[vfio.daemon]` relative, or over 107 bytes |
| `daemon_uids_are_numbers` | an entry of `allowed_uids` that is no user's number |
| `daemon_tcp_is_mutual` | `tcp` that is not HOST:PORT, or without all three of `tls_certificate`, `tls_key`, `tls_client_ca` |
| `daemon_metrics_is_an_address` | `metrics` that is neither `unix:PATH` nor HOST:PORT |

The last four, of `[vfio.daemon]`, stop `kata-vfiod` and `config check`; no device is refused for them.

Warnings, which stop nothing: a key or table nobody knows (with the one probably meant), a key in the
wrong table, and an obsolete key. Kata's other keys, 1.x to 3.x, are known by name and passed over.

## Annotations

`io.katacontainers.config.hypervisor.NAME` of a sandbox is heeded if NAME as a whole matches an
expression of `enable_annotations`; otherwise the sandbox is refused. Values are checked as in the
file. `machine_type` only of the pc family and `hotplug_vfio_on_root_bus` only `true`, whatever is
enabled. `kernel_params` are appended. `path` must match `valid_hypervisor_paths`; `kernel`, `image`,
`initrd` and `firmware` must match `allowed_guest_files`: absolute, without `.` and `..`, and `*`
stays within one directory. An enabled name that nobody knows is refused. Other annotations are left
alone.

A sandbox asks for devices of its own with `vgpu_type`, `vgpu_parent`, `vgpu_low_gm`, `vgpu_high_gm`,
`vgpu_resolution`, `vgpu_keep` and `gpu`, which stand for the keys of `[vfio.vgpu]` and `gpu` of `[vfio]`
below. It gets them when it is opened, within `allowed_types`, `allowed_parents` and `allowed_devices`, and
gives them back with its end (docs/lifecycle.md).
)";

// A bar would end the table's cell.
std::string cell(std::string_view text) {
    std::string out;
    for (const char c : text) {
        if (c == '|')
            out += '\\';
        out += c;
    }
    return out;
}

std::string row(const Key& key) {
    Configuration fresh;
    auto limits = range_text(key);
    if (limits.empty())
        limits =
            type_name(key.slot(fresh)) + (key.unit.empty() ? "" : ", " + std::string(key.unit));
    std::string annotation = key.annotation ? "yes" : "";
    if (!key.annotation_name.empty())
        annotation = "`" + std::string(key.annotation_name) + "`";
    return "| `" + std::string(key.name) + "` | `" + cell(default_literal(key)) + "` | " +
           cell(limits) + " | " + annotation + " | " + std::string(key.since) + " | " +
           cell(key.doc) + " |\n";
}

} // namespace

std::string reference_markdown() {
    std::string text(head);
    std::string_view table;
    for (const auto& key : keys()) {
        if (key.table != table) {
            table = key.table;
            text += "\n## `[" + std::string(table) + "]`\n\n";
            text += "| key | default | value | annotation | since | meaning |\n";
            text += "| --- | --- | --- | --- | --- | --- |\n";
        }
        text += row(key);
    }
    text +=
        "\n## Obsolete here\n\n| key | no warning when | what about it |\n| --- | --- | --- |\n";
    for (const auto& key : obsolete_keys())
        text += "| `" + std::string(key.table) + "." + std::string(key.name) + "` | `" +
                std::string(key.inert) + "` | " + std::string(key.instead) + " |\n";
    return text;
}

} // namespace kata_vfio::config
