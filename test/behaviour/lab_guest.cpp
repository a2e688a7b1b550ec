// SPDX-License-Identifier: Apache-2.0
#include "lab_guest.hpp"

#include "qemu_process.hpp"
#include "test/places/places.hpp"

#include <cstdlib>
#include <filesystem>
#include <stdexcept>

namespace kata_vfio::behaviour {
namespace {

const std::string lab = std::string(test::source_dir) + "/test/lab/";
const std::string id = "guest";

std::string must(const std::vector<std::string>& words) {
    const auto finished = run_program(words);
    if (finished.status != 0)
        throw std::runtime_error(words[0] + ' ' + words[1] + " ended with " +
                                 std::to_string(finished.status) + ": " + finished.output);
    return finished.output;
}

} // namespace

std::optional<std::string> LabGuest::unavailable() {
    const auto up = run_program({lab + "lab", "up"});
    if (up.status == 0)
        return std::nullopt;
    return "test/lab/lab up failed, so there is no guest to boot: " + up.output;
}

LabGuest::LabGuest(const std::vector<std::string>& options) {
    const char* base = std::getenv("TMPDIR");
    directory_ = std::string(base && *base ? base : "/tmp") + "/kv-lab.XXXXXX";
    if (!::mkdtemp(directory_.data()))
        throw std::runtime_error("cannot make " + directory_);
    ::setenv("LAB_SANDBOX_DIR", directory_.c_str(), 1);
    std::vector<std::string> words{lab + "sandbox", "start",       id, "--accel", "tcg",
                                   "--qemu",        qemu_program()};
    words.insert(words.end(), options.begin(), options.end());
    must(words);
}

LabGuest::~LabGuest() {
    (void)run_program({lab + "sandbox", "stop", id});
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
}

std::string LabGuest::monitor() const {
    return directory_ + '/' + id + "/qmp.sock";
}

void LabGuest::wait_booted() {
    must({lab + "sandbox", "wait", id});
}

std::string LabGuest::exec(const std::string& command) {
    return must({lab + "sandbox", "exec", id, command});
}

} // namespace kata_vfio::behaviour
