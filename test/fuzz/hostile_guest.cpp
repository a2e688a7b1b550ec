// SPDX-License-Identifier: Apache-2.0
// What a guest that has been taken over may send to the shim: its own connection ends, and nothing
// it says goes beyond what the shim allows it. The bytes come through a real socket.
#include "config/base/unique_fd.hpp"
#include "runtime-plugin/shim/ttrpc/status.hpp"
#include "runtime-plugin/shim/vm/guest.hpp"
#include "test/fuzz/fuzz.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <string>
#include <utility>

using namespace kata_vfio;
using namespace kata_vfio::shim;
namespace asio = boost::asio;

namespace kata_vfio::fuzz {
namespace {

/// Of an input; more is slow and tells nothing new. A window (256 KiB) is test/unit/shim's matter.
constexpr std::size_t most = 16384;
constexpr int processes = 3;

/// What the shim was told of one process.
struct Told {
    std::array<int, 2> ends{};
    std::uint64_t credit = 0;
    int exits = 0;
    std::uint32_t oom_kills = 0;
};

ProcessEvents listen(Told& told) {
    ProcessEvents events;
    events.output = [&told](bool is_stderr, std::string bytes) {
        require(!bytes.empty() && bytes.size() <= agent::max_data, "output is a data frame's");
        require(told.ends[is_stderr] == 0, "no output after its end");
    };
    events.output_end = [&told](bool is_stderr) {
        require(++told.ends[is_stderr] == 1, "an output ends once");
    };
    events.stdin_credit = [&told](std::uint32_t bytes) {
        told.credit += bytes;
        require(told.credit <= 5, "no credit for what was not sent");
    };
    events.exited = [&told](int status) {
        require(++told.exits == 1, "a process exits once");
        require(status >= 0 && status <= 255, "with a status that is one");
    };
    events.oom_kills = [&told](std::uint32_t kills) {
        require(kills > std::exchange(told.oom_kills, kills), "kills are only more");
    };
    return events;
}

asio::awaitable<void> ask(Guest& guest, int& answers) {
    try {
        agent::Call call = agent::Stats{"c1"};
        co_await guest.call(std::move(call), std::chrono::seconds(5));
    } catch (const ttrpc::Error&) {
    }
    ++answers;
}

} // namespace

void one(std::string_view bytes) {
    bytes = bytes.substr(0, most);
    std::array<int, 2> fds{};
    require(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds.data()) == 0,
            "there is a socket");
    UniqueFd ours(fds[0]), theirs(fds[1]);
    std::array<Told, processes> told{};
    int answers = 0;
    asio::io_context io(1);
    Guest guest(io, std::move(ours));
    for (auto& each : told) {
        const auto number = guest.add_process(listen(each));
        guest.send_stdin(number, "hello");
    }
    asio::co_spawn(io, ask(guest, answers), asio::detached);
    while (!bytes.empty()) {
        const auto count = ::write(theirs.get(), bytes.data(), bytes.size());
        if (count > 0)
            bytes.remove_prefix(static_cast<std::size_t>(count));
        else if (io.poll() == 0) // neither takes any more: it has hung up
            break;
    }
    theirs.reset();
    io.run();
    require(guest.lost().ready(), "the end of the port is seen");
    require(!guest.lost().value().empty(), "with its reason");
    require(answers == 1, "a call under way is answered");
}

} // namespace kata_vfio::fuzz
