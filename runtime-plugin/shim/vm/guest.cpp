// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/shim/vm/guest.hpp"

#include "config/base/text.hpp"
#include "qemu/use_tuple.hpp"
#include "runtime-plugin/shim/log.hpp"
#include "runtime-plugin/shim/ttrpc/status.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/write.hpp>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <iterator>
#include <set>
#include <utility>

namespace kata_vfio::shim {
namespace asio = boost::asio;
using agent::Frame;
using agent::FrameType;
using agent::ProtocolError;
using asio::awaitable;
using ttrpc::Code;
namespace {

constexpr std::size_t most_given_up = 256;
/// Requests that wait for the port; 16 of the longest. What else waits is bounded by the windows.
constexpr std::size_t most_requests = 16 * agent::max_control;

/// Of a socket pair's or vsock's.
int family_of(int socket) {
    int family = AF_UNIX;
    socklen_t size = sizeof family;
    ::getsockopt(socket, SOL_SOCKET, SO_DOMAIN, &family, &size);
    return family;
}

Code code_of_errno(int number) {
    return number == ESRCH || number == ENOENT ? Code::not_found : Code::unknown;
}

} // namespace

struct Guest::State : std::enable_shared_from_this<State> {
    State(asio::io_context& context, UniqueFd port)
        : io(context), socket(context), hello(context), lost(context) {
        const asio::generic::stream_protocol protocol(family_of(port.get()), 0);
        socket.assign(protocol, port.release());
    }

    struct Output {
        std::uint32_t room = agent::window;
        std::uint32_t owed = 0; ///< passed on, but not told yet, so not in `room`; one frame
        bool ended = false;
    };
    struct Process {
        ProcessEvents events;
        Output out, err;
        std::string in;              ///< stdin that waits for the port; at most a window
        bool in_ends = false;        ///< after that; until it is told
        std::uint32_t in_flight = 0; ///< stdin that the port was given, and no credit came for
        std::uint32_t oom_kills = 0;
        bool exited = false;
    };

    /// What is more in a second would fill the host's log.
    static constexpr unsigned most_lines = 100;
    void log(const std::string& text) {
        const auto now = std::chrono::steady_clock::now();
        if (now - log_second >= std::chrono::seconds(1)) {
            log_second = now;
            logged = 0;
        }
        if (++logged <= most_lines)
            log_warning("the guest says", {{"text", text}});
        else if (logged == most_lines + 1)
            log_warning("the guest says more than is logged", {});
    }

    asio::io_context& io;
    std::chrono::steady_clock::time_point log_second;
    unsigned logged = 0;
    asio::generic::stream_protocol::socket socket;
    agent::FrameReader reader{agent::Sender::guest};
    Future<agent::Hello> hello;
    Future<std::string> lost;
    std::map<std::uint32_t, Future<agent::Reply>> waiting;
    /// Calls nobody waits for any longer: their late reply is dropped.
    std::set<std::uint32_t> given_up;
    std::map<std::uint32_t, Process> processes;
    // What waits for the port becomes frames when the port takes them: a guest that reads nothing
    // makes it a number larger, where a frame for each of its own would grow for ever.
    std::string requests;             ///< encoded
    std::set<std::uint32_t> speaking; ///< processes with something to tell the guest
    std::string sending;
    bool writing = false;
    std::uint32_t next_call = 1, next_process = 1;
    bool broke_protocol = false;

    void fail(const std::string& why) {
        if (lost.ready())
            return;
        lost.set(why);
        boost::system::error_code ignored;
        socket.close(ignored);
        for (auto& [id, reply] : waiting)
            reply.set(agent::Reply{id, "the guest is gone: " + why, EPIPE, {}});
    }

    void request(const std::string& bytes) {
        if (lost.ready())
            return;
        requests += bytes;
        if (requests.size() > most_requests) {
            broke_protocol = true;
            return fail("the guest does not read what it is sent");
        }
        wake();
    }
    void speak(std::uint32_t number) {
        if (lost.ready())
            return;
        speaking.insert(number);
        wake();
    }
    void wake() {
        if (!std::exchange(writing, true))
            asio::co_spawn(io, write(shared_from_this()), asio::detached);
    }
    static awaitable<void> write(std::shared_ptr<State> self) {
        while (!self->lost.ready() && self->fill()) {
            const auto [error, count] = co_await asio::async_write(
                self->socket, asio::buffer(self->sending), qemu::use_tuple);
            if (error)
                self->fail("its port is closed (" + error.message() + ")");
        }
        self->writing = false;
    }

    /// What is written next; false: nothing. Of stdin a frame of each process, so that none waits
    /// for another's. Counted as given here and not once it is written: the guest may have read,
    /// and answered, the beginning while the rest still waits.
    bool fill() {
        sending.clear();
        sending.swap(requests);
        for (auto number = speaking.begin(); number != speaking.end();) {
            const auto found = processes.find(*number);
            const bool more = found != processes.end() && fill(found->first, found->second);
            number = more ? std::next(number) : speaking.erase(number);
        }
        return !sending.empty();
    }
    /// Whether there is more of it.
    bool fill(std::uint32_t number, Process& process) {
        for (auto* output : {&process.out, &process.err}) {
            if (output->owed == 0)
                continue;
            const auto type =
                output == &process.err ? FrameType::stderr_credit : FrameType::stdout_credit;
            sending += agent::encode(type, number, agent::number_payload(output->owed));
            output->room += std::exchange(output->owed, 0);
        }
        if (!process.in.empty()) {
            const auto part = std::string_view(process.in).substr(0, agent::max_data);
            sending += agent::encode(FrameType::stdin_data, number, part);
            process.in_flight += static_cast<std::uint32_t>(part.size());
            process.in.erase(0, part.size());
        }
        if (!process.in.empty())
            return true;
        if (std::exchange(process.in_ends, false))
            sending += agent::encode(FrameType::stdin_end, number);
        return false;
    }

    static awaitable<void> read(std::shared_ptr<State> self) {
        std::array<char, 65536> bytes;
        while (!self->lost.ready()) {
            const auto [error, count] =
                co_await self->socket.async_read_some(asio::buffer(bytes), qemu::use_tuple);
            if (error) {
                self->fail("its port is closed (" + error.message() + ")");
                co_return;
            }
            try {
                self->reader.feed(std::string_view(bytes.data(), count));
                while (auto frame = self->reader.next())
                    self->take(std::move(*frame));
            } catch (const ProtocolError& wrong) {
                self->broke_protocol = !self->lost.ready();
                self->fail(std::string("the guest breaks the protocol: ") + wrong.what());
            }
        }
    }

    Process* find(std::uint32_t number) {
        const auto found = processes.find(number);
        if (found != processes.end())
            return &found->second;
        // One that was dropped may still speak; one that never was may not.
        if (number == 0 || number >= next_process)
            throw ProtocolError("a process nobody started");
        return nullptr;
    }

    void take(Frame frame) {
        if (!hello.ready() && frame.type != FrameType::hello && frame.type != FrameType::log)
            throw ProtocolError("no hello first");
        switch (frame.type) {
        case FrameType::hello:
            if (hello.ready())
                throw ProtocolError("a second hello");
            hello.set(agent::parse_hello(frame.payload));
            return;
        case FrameType::reply:
            return take_reply(agent::parse_reply(frame.payload));
        case FrameType::log:
            return log(frame.payload);
        case FrameType::stdout_data:
        case FrameType::stderr_data: {
            const bool is_err = frame.type == FrameType::stderr_data;
            auto* process = find(frame.process);
            if (!process)
                return;
            auto& output = is_err ? process->err : process->out;
            if (frame.payload.size() > output.room || output.ended)
                throw ProtocolError("more output than there is room for");
            output.room -= static_cast<std::uint32_t>(frame.payload.size());
            return process->events.output(is_err, std::move(frame.payload));
        }
        case FrameType::stdout_end:
        case FrameType::stderr_end: {
            const bool is_err = frame.type == FrameType::stderr_end;
            auto* process = find(frame.process);
            if (!process || std::exchange((is_err ? process->err : process->out).ended, true))
                return;
            return process->events.output_end(is_err);
        }
        case FrameType::stdin_credit: {
            auto* process = find(frame.process);
            if (!process)
                return;
            const auto bytes = agent::payload_number(frame);
            if (bytes > process->in_flight)
                throw ProtocolError("a credit for more than was sent");
            process->in_flight -= bytes;
            return process->events.stdin_credit(bytes);
        }
        case FrameType::exited: {
            auto* process = find(frame.process);
            const auto status = agent::payload_number(frame);
            if (status > 255)
                throw ProtocolError("an exit status over 255");
            if (!process || std::exchange(process->exited, true))
                return;
            return process->events.exited(static_cast<int>(status));
        }
        case FrameType::oom_kills: {
            auto* process = find(frame.process);
            const auto kills = agent::payload_number(frame);
            if (!process)
                return;
            if (!process->events.oom_kills || kills <= process->oom_kills)
                throw ProtocolError("processes without memory that are none");
            process->oom_kills = kills;
            return process->events.oom_kills(kills);
        }
        default:
            throw ProtocolError("a frame the guest does not send");
        }
    }

    void take_reply(agent::Reply reply) {
        if (given_up.erase(reply.id) > 0)
            return;
        const auto found = waiting.find(reply.id);
        if (found == waiting.end())
            throw ProtocolError("a reply nobody waits for");
        const auto id = reply.id;
        found->second.set(std::move(reply));
        waiting.erase(id);
    }
};

Guest::Guest(asio::io_context& io, UniqueFd port)
    : state_(std::make_shared<State>(io, std::move(port))) {
    asio::co_spawn(io, State::read(state_), asio::detached);
}
Guest::~Guest() {
    state_->processes.clear();
    state_->fail("the sandbox ends");
}

awaitable<agent::Hello> Guest::hello(std::chrono::milliseconds limit) {
    using namespace asio::experimental::awaitable_operators;
    const auto state = state_;
    asio::steady_timer timer(state->io, limit);
    const auto first = co_await (state->hello.wait() || state->lost.wait() ||
                                 timer.async_wait(asio::use_awaitable));
    if (first.index() == 1)
        throw ttrpc::Error(Code::unavailable, "the guest did not come up: " + std::get<1>(first));
    if (first.index() == 2)
        throw ttrpc::Error(Code::deadline_exceeded,
                           "the guest's agent did not answer within " +
                               std::to_string(limit.count() / 1000) +
                               " s ([agent.kata] dial_timeout); enable_debug of [hypervisor.qemu] "
                               "keeps the guest's console");
    const auto& said = std::get<0>(first);
    if (said.version != agent::protocol_version)
        throw ttrpc::Error(Code::failed_precondition, "the guest's agent speaks version " +
                                                          std::to_string(said.version) +
                                                          " of the protocol, this shim version " +
                                                          std::to_string(agent::protocol_version) +
                                                          "; make the guest image anew");
    co_return said;
}

awaitable<boost::json::object> Guest::call(agent::Call call, std::chrono::milliseconds limit) {
    const auto state = state_;
    if (state->lost.ready())
        throw ttrpc::Error(Code::unavailable, "the guest is gone: " + state->lost.value());
    const auto id = state->next_call++;
    agent::Request request;
    request.id = id;
    request.call = std::move(call);
    auto payload = agent::to_payload(request);
    if (payload.size() > agent::max_control)
        throw ttrpc::Error(Code::resource_exhausted, "a request of " +
                                                         std::to_string(payload.size()) +
                                                         " bytes is too long for the guest");
    Future<agent::Reply> answer(state->io);
    state->waiting.emplace(id, answer);
    state->request(agent::encode(FrameType::request, 0, payload));
    const auto reply = co_await answer.wait_for(limit);
    state->waiting.erase(id);
    if (!reply) {
        state->given_up.insert(id);
        // Not to be kept for ever for a guest that never answers.
        if (state->given_up.size() > most_given_up)
            state->fail("it does not answer any more");
        throw ttrpc::Error(Code::deadline_exceeded, "the guest did not answer in time");
    }
    if (!reply->error.empty())
        throw ttrpc::Error(state->lost.ready() ? Code::unavailable
                                               : code_of_errno(reply->error_number),
                           "in the guest: " + reply->error);
    co_return reply->value;
}

std::uint32_t Guest::add_process(ProcessEvents events) {
    const auto number = state_->next_process++;
    State::Process process;
    process.events = std::move(events);
    state_->processes.emplace(number, std::move(process));
    return number;
}
void Guest::drop_process(std::uint32_t number) {
    state_->processes.erase(number);
}

void Guest::send_stdin(std::uint32_t number, std::string_view bytes) {
    const auto found = state_->processes.find(number);
    if (found == state_->processes.end() || bytes.empty())
        return;
    found->second.in += bytes;
    state_->speak(number);
}
void Guest::end_stdin(std::uint32_t number) {
    const auto found = state_->processes.find(number);
    if (found == state_->processes.end())
        return;
    found->second.in_ends = true;
    state_->speak(number);
}
void Guest::credit(std::uint32_t number, bool is_stderr, std::uint32_t bytes) {
    const auto found = state_->processes.find(number);
    if (found == state_->processes.end() || bytes == 0)
        return;
    (is_stderr ? found->second.err : found->second.out).owed += bytes;
    state_->speak(number);
}
const Future<std::string>& Guest::lost() const noexcept {
    return state_->lost;
}
bool Guest::broke_protocol() const noexcept {
    return state_->broke_protocol;
}

} // namespace kata_vfio::shim
