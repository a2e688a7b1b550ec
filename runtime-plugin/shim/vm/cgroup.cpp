// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/shim/vm/cgroup.hpp"

#include "config/base/failure.hpp"
#include "config/base/unique_fd.hpp"
#include "runtime-plugin/kernel/bpf.hpp"
#include "runtime-plugin/shim/vm/cgroup_path.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

namespace kata_vfio::shim {
namespace fs = std::filesystem;
namespace {

static_assert(sizeof(bpf_insn) == 8);
std::vector<bpf_insn> for_kernel(const std::vector<plugin::Instruction>& program) {
    std::vector<bpf_insn> code;
    for (const auto& one : program) {
        bpf_insn into{};
        into.code = one.code;
        into.dst_reg = one.dst & 15u;
        into.src_reg = one.src & 15u;
        into.off = one.offset;
        into.imm = one.immediate;
        code.push_back(into);
    }
    return code;
}

} // namespace

HostCgroup::HostCgroup(const vfio::HostRoot& root, const std::string& path) {
    const auto mount = root.sys("fs/cgroup");
    std::error_code ec;
    const auto named = cgroup_path(path);
    why_not_ = named.why_not;
    if (named.below.empty())
        return;
    if (!fs::exists(mount / "cgroup.controllers", ec)) {
        why_not_ = "the host has not the unified cgroup hierarchy alone";
        return;
    }
    const auto directory = mount / named.below;
    if (named.of_systemd && !fs::exists(directory.parent_path(), ec)) {
        why_not_ = "systemd has no slice " + directory.parent_path().native();
        return;
    }
    directory_ = directory;
    parent_is_systemds_ = named.of_systemd;
}

void HostCgroup::make() const {
    std::error_code ec;
    // A slice that has gone meanwhile is not to come back by our hand.
    if (parent_is_systemds_)
        fs::create_directory(directory_, ec);
    else
        fs::create_directories(directory_, ec);
    if (ec)
        throw host_failure(ec.value(), "can't make the cgroup " + directory_.native());
}

void HostCgroup::take(std::int64_t pid) const {
    if (directory_.empty())
        return;
    make();
    const auto text = std::to_string(pid);
    const UniqueFd file(::open((directory_ / "cgroup.procs").c_str(), O_WRONLY | O_CLOEXEC));
    if (!file || ::write(file.get(), text.data(), text.size()) < 0)
        throw host_failure(errno, "can't put QEMU into the cgroup " + directory_.native());
}

void HostCgroup::allow(const std::vector<DeviceRule>& rules) {
    if (directory_.empty() || (program_ && rules == allowed_))
        return;
    make();
    const UniqueFd group(::open(directory_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!group)
        throw host_failure(errno, "can't open the cgroup " + directory_.native());
    const auto code = for_kernel(device_program(rules));
    constexpr std::string_view name = "kata_vfio", license = "Apache-2.0";
    bpf_attr load;
    std::memset(&load, 0, sizeof load);
    load.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
    load.expected_attach_type = BPF_CGROUP_DEVICE;
    load.insns = bpf_address(code.data());
    load.insn_cnt = static_cast<std::uint32_t>(code.size());
    load.license = bpf_address(license.data());
    std::memcpy(load.prog_name, name.data(), name.size());
    UniqueFd program(bpf(BPF_PROG_LOAD, load));
    if (!program)
        throw host_failure(errno, "the kernel does not take device rules");
    bpf_attr attach;
    std::memset(&attach, 0, sizeof attach);
    attach.target_fd = static_cast<std::uint32_t>(group.get());
    attach.attach_bpf_fd = static_cast<std::uint32_t>(program.get());
    attach.attach_type = BPF_CGROUP_DEVICE;
    // Beside those of others, which decide too; in the place of the one before, at once.
    attach.attach_flags = BPF_F_ALLOW_MULTI;
    if (program_) {
        attach.attach_flags |= BPF_F_REPLACE;
        attach.replace_bpf_fd = static_cast<std::uint32_t>(program_.get());
    }
    if (bpf(BPF_PROG_ATTACH, attach) != 0)
        throw host_failure(errno,
                           "can't set the device rules of the cgroup " + directory_.native());
    program_ = std::move(program);
    allowed_ = rules;
}

void HostCgroup::remove() const noexcept {
    if (!directory_.empty())
        ::rmdir(directory_.c_str());
}

} // namespace kata_vfio::shim
