// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/libvirt/unprivileged.hpp"

#include "config/base/failure.hpp"
#include "config/base/file.hpp"
#include "config/base/text.hpp"
#include "vfio/host_root.hpp"

#include <grp.h>
#include <pthread.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <thread>
#include <vector>

namespace kata_vfio::libvirt {
namespace {

/// The QEMUs that libvirt is probing: each has written its pid below the directory, and has the
/// directory in its command line, which nobody else's process has.
void kill_probed(const std::filesystem::path& directory) {
    std::error_code ec;
    const vfio::HostRoot root;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(directory, ec)) {
        if (entry.path().extension() != ".pid")
            continue;
        const std::string pid(trim(read_file(entry.path()).value_or("")));
        pid_t number = 0;
        std::from_chars(pid.data(), pid.data() + pid.size(), number);
        if (number > 1 && number != ::getpid() &&
            read_file(root.proc(pid + "/cmdline")).value_or("").find(directory.string()) !=
                std::string::npos)
            ::kill(number, SIGKILL);
    }
}

} // namespace

void become_unprivileged(const std::filesystem::path& directory) {
    if (::geteuid() != 0)
        return;
    passwd entry{};
    passwd* nobody = nullptr;
    std::vector<char> texts(16384);
    ::getpwnam_r("nobody", &entry, texts.data(), texts.size(), &nobody);
    if (!nobody || nobody->pw_uid == 0)
        throw Failure(Errc::host_io, "this host has no user nobody to ask libvirt as");
    const auto uid = nobody->pw_uid;
    const auto gid = nobody->pw_gid;
    struct stat kvm {};
    const bool has_kvm = ::stat(vfio::HostRoot().dev("kvm").c_str(), &kvm) == 0 && kvm.st_gid != 0;
    // With what the caller has put in it, before anybody else can; it has no links.
    const auto give = [&](const std::filesystem::path& path) {
        if (::lchown(path.c_str(), uid, gid) != 0)
            throw host_failure(errno, "can't give " + path.string() + " to the user nobody")
                .sys(errno);
    };
    for (const auto& each : std::filesystem::recursive_directory_iterator(directory))
        give(each.path());
    give(directory);
    if (::setgroups(has_kvm ? 1 : 0, &kvm.st_gid) != 0 || ::setresgid(gid, gid, gid) != 0 ||
        ::setresuid(uid, uid, uid) != 0 || ::setuid(0) == 0)
        throw host_failure(errno, "can't become the user nobody").sys(errno);
}

void end_with_probed(const std::filesystem::path& directory) {
    sigset_t ends;
    ::sigemptyset(&ends);
    ::sigaddset(&ends, SIGTERM);
    ::sigaddset(&ends, SIGINT);
    ::pthread_sigmask(SIG_BLOCK, &ends, nullptr);
    std::thread([ends, directory] {
        int signal = 0;
        ::sigwait(&ends, &signal);
        try {
            kill_probed(directory);
        } catch (const std::exception&) { // a directory that changes meanwhile: end all the same
        }
        ::_exit(128 + signal);
    }).detach();
    // If it has ended before this is said, so has standard input, and this process with it.
    ::prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
}

} // namespace kata_vfio::libvirt
