// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/plugin/cgroup_programs.hpp"

#include "config/base/unique_fd.hpp"
#include "runtime-plugin/kernel/bpf.hpp"

#include <fcntl.h>

#include <cerrno>
#include <cstring>
#include <system_error>

namespace kata_vfio::plugin {
namespace {

/// A cgroup takes at most this many programs of a type (BPF_CGROUP_MAX_PROGS, linux/bpf-cgroup.h);
/// as many of each level may be in effect.
constexpr std::uint32_t most_programs = 64 * 16;

[[noreturn]] void fail(const char* what) {
    throw std::system_error(errno, std::generic_category(), what);
}

std::vector<std::uint32_t> query(const std::filesystem::path& cgroup, bool in_effect) {
    const UniqueFd fd(::open(cgroup.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd)
        fail("open");
    std::vector<std::uint32_t> ids(most_programs);
    bpf_attr attributes;
    std::memset(&attributes, 0, sizeof attributes);
    attributes.query.target_fd = static_cast<std::uint32_t>(fd.get());
    attributes.query.attach_type = BPF_CGROUP_DEVICE;
    attributes.query.query_flags = in_effect ? BPF_F_QUERY_EFFECTIVE : 0;
    attributes.query.prog_ids = bpf_address(ids.data());
    attributes.query.prog_cnt = most_programs;
    if (bpf(BPF_PROG_QUERY, attributes) != 0)
        fail("BPF_PROG_QUERY");
    ids.resize(attributes.query.prog_cnt);
    return ids;
}

LoadedProgram load(std::uint32_t id) {
    bpf_attr attributes;
    std::memset(&attributes, 0, sizeof attributes);
    attributes.prog_id = id;
    const UniqueFd fd(bpf(BPF_PROG_GET_FD_BY_ID, attributes));
    if (!fd)
        fail("BPF_PROG_GET_FD_BY_ID");
    bpf_prog_info info{};
    std::string code;
    // First for the length, then for the instructions.
    for (const bool whole : {false, true}) {
        const auto size = info.xlated_prog_len;
        std::memset(&info, 0, sizeof info);
        if (whole) {
            code.resize(size);
            info.xlated_prog_len = size;
            info.xlated_prog_insns = bpf_address(code.data());
        }
        std::memset(&attributes, 0, sizeof attributes);
        attributes.info.bpf_fd = static_cast<std::uint32_t>(fd.get());
        attributes.info.info_len = sizeof info;
        attributes.info.info = bpf_address(&info);
        if (bpf(BPF_OBJ_GET_INFO_BY_FD, attributes) != 0)
            fail("BPF_OBJ_GET_INFO_BY_FD");
        // Blinded constants (bpf_jit_harden), or no CAP_BPF: it is kept to itself.
        if (info.xlated_prog_len == 0 || (whole && info.xlated_prog_insns == 0)) {
            errno = EPERM;
            fail("the program's instructions");
        }
    }
    auto instructions = parse_program(code);
    if (!instructions) {
        errno = EPROTO;
        fail("the program's instructions");
    }
    return {std::string(info.name, ::strnlen(info.name, sizeof info.name)),
            std::move(*instructions)};
}

} // namespace

const DevicePrograms& kernel_programs() {
    static const DevicePrograms programs{query, load};
    return programs;
}

} // namespace kata_vfio::plugin
