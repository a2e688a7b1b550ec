// SPDX-License-Identifier: Apache-2.0
// A journal of any bytes: refused as corrupt, or steps that are written as they were read; a torn
// line at its end changes nothing.
#include "runtime-plugin/plugin/journal.hpp"
#include "config/base/file.hpp"
#include "test/fuzz/fuzz.hpp"

#include <boost/json/serialize.hpp>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

using namespace kata_vfio::plugin;
namespace fs = std::filesystem;

namespace kata_vfio::fuzz {
namespace {

/// In memory, a process's own, and gone with it.
class Directory {
  public:
    Directory() {
        std::string name = "/dev/shm/kata-vfio-fuzz.XXXXXX";
        require(::mkdtemp(name.data()) != nullptr, "/dev/shm takes a directory");
        path_ = name;
    }
    ~Directory() { fs::remove_all(path_); }
    std::optional<LeftJournal> read(std::string_view bytes) const {
        std::ofstream(path_ / "journal", std::ios::trunc | std::ios::binary) << bytes;
        return read_journal(path_);
    }

  private:
    fs::path path_;
};

} // namespace

void one(std::string_view bytes) {
    static const Directory directory;
    refusal({Errc::state_corrupt}, [&] {
        const auto journal = directory.read(bytes);
        require(journal.has_value(), "a file that is there is read");
        for (const auto& step : journal->steps) {
            require(!text(step).empty(), "a step has a text");
            const auto written = to_json(step);
            require(to_json(step_from_json(written)) == written, "a step reads back as it was");
        }
        if (bytes.ends_with('\n')) {
            const auto torn = directory.read(std::string(bytes) + R"({"v":1,"intent":{"st)");
            require(torn && torn->steps.size() == journal->steps.size(), "a torn line is dropped");
        }
    });
}

} // namespace kata_vfio::fuzz
