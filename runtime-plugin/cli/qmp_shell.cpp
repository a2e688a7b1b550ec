// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/cli/qmp_shell.hpp"

#include "config/base/failure.hpp"
#include "runtime-plugin/cli/failure_text.hpp"
#include "runtime-plugin/cli/qmp_history.hpp"
#include "runtime-plugin/cli/qmp_schema.hpp"
#include "runtime-plugin/cli/qmp_text.hpp"
#include "runtime-plugin/cli/qmp_words.hpp"

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/json/serialize.hpp>
#include <histedit.h>
#include <unistd.h>

#include <cstdio>
#include <cwchar>
#include <string>
#include <vector>

namespace kata_vfio::cli {
namespace asio = boost::asio;
namespace {

constexpr auto prompt = "(QEMU) ";

/// libedit's state and ours for as long as the shell runs. libedit hands `this` back
/// (EL_CLIENTDATA).
class Shell {
  public:
    Shell(QmpClient& client, bool raw, Io& io)
        : client_(client), raw_(raw), io_(io), input_(client.loop(), ::dup(STDIN_FILENO)) {
        editor_ = ::el_init("kata-vfio", stdin, stdout, stderr);
        if (!editor_)
            throw Failure(Errc::host_io, "the terminal can't be used for line editing");
        ::el_set(editor_, EL_CLIENTDATA, this);
        ::el_set(editor_, EL_PROMPT, &Shell::on_prompt);
        ::el_set(editor_, EL_SIGNAL, 0); // SIGINT is the client's (QmpClient)
        ::el_set(editor_, EL_EDITOR, "emacs");
        ::el_set(editor_, EL_GETCFN, &Shell::on_read);
        ::el_set(editor_, EL_ADDFN, "qmp-complete", "complete a QMP command", &Shell::on_complete);
        ::el_set(editor_, EL_BIND, "^I", "qmp-complete", nullptr);
        ::el_set(editor_, EL_BIND, "^R", "em-inc-search-prev", nullptr);
        ::el_set(editor_, EL_HIST, ::history, history_.handle());
        ::el_source(editor_, nullptr); // ~/.editrc
        client_.on_event([this](const qemu::Event& event) { show(event); });
    }
    ~Shell() {
        client_.on_event({});
        ::el_end(editor_);
    }
    Shell(const Shell&) = delete;
    Shell& operator=(const Shell&) = delete;

    int run() {
        greet();
        for (;;) {
            interrupted_ = false;
            editing_ = true;
            int size = 0;
            const char* line = ::el_gets(editor_, &size);
            editing_ = false;
            if (line && size > 0) {
                work(std::string(line, static_cast<std::size_t>(size)));
            } else if (interrupted_) {
                io_.out << "^C\n" << std::flush;
                ::el_reset(editor_);
            } else {
                io_.out << '\n';
                if (const auto lost = client_.lost())
                    throw Failure(*lost);
                return 0;
            }
        }
    }

  private:
    static Shell& self(EditLine* editor) {
        void* self = nullptr;
        ::el_get(editor, EL_CLIENTDATA, &self);
        return *static_cast<Shell*>(self);
    }
    static char* on_prompt(EditLine*) { return const_cast<char*>(prompt); }
    static int on_read(EditLine* editor, wchar_t* out) { return self(editor).read(*out); }
    static unsigned char on_complete(EditLine* editor, int) { return self(editor).complete(); }

    void greet() {
        io_.out << "connected to QEMU " << client_.qemu_version()
                << "; Tab completes, Ctrl-D ends\n"
                << std::flush;
        try {
            schema_ = QmpSchema(client_.execute(qemu::Command("query-qmp-schema")));
        } catch (const Failure& failure) {
            if (client_.lost())
                throw;
            io_.err << "kata-vfio: there is no completion: " << failure.what() << '\n';
        }
    }

    /// A character once there is one; 0: the line ends here (Ctrl-C, EOF, QEMU gone).
    int read(wchar_t& out) {
        std::mbstate_t state{};
        for (;;) {
            if (!await_byte())
                return 0;
            char byte = 0;
            if (::read(STDIN_FILENO, &byte, 1) != 1)
                return 0;
            const auto used = std::mbrtowc(&out, &byte, 1, &state);
            if (used == static_cast<std::size_t>(-2)) // more of it is to come
                continue;
            if (used == static_cast<std::size_t>(-1))
                out = L'?';
            return 1;
        }
    }

    bool await_byte() {
        bool ready = false, failed = false;
        input_.async_wait(asio::posix::stream_descriptor::wait_read,
                          [&](boost::system::error_code error) {
                              ready = true;
                              failed = static_cast<bool>(error);
                          });
        const auto ended = client_.run_until([&] { return ready || client_.lost(); });
        interrupted_ = ended == QmpClient::Ended::signal;
        if (!ready) {
            input_.cancel();
            (void)client_.run_until([&] { return ready; });
            return false;
        }
        return !failed && !client_.lost();
    }

    void show(const qemu::Event& event) {
        if (editing_)
            io_.out << "\r\033[K"; // the prompt and what is typed are drawn again below
        io_.out << (raw_ ? boost::json::serialize(qemu::event_json(event)) + "\n"
                         : event_text(event))
                << std::flush;
        if (editing_)
            ::el_set(editor_, EL_REFRESH);
    }

    void work(const std::string& line) {
        try {
            auto command = qmp_line(line);
            if (!command)
                return;
            history_.add(line);
            const auto value = client_.execute(std::move(*command));
            io_.out << (raw_ ? boost::json::serialize(value) : pretty_json(value)) << '\n';
        } catch (const Failure& failure) {
            if (client_.lost())
                throw;
            io_.err << failure_text(failure);
        }
        io_.out << std::flush;
        io_.err << std::flush;
    }

    unsigned char complete() {
        const auto* line = ::el_line(editor_);
        const std::string before(line->buffer, line->cursor);
        const auto found = schema_.completions(before);
        if (found.empty())
            return CC_ERROR;
        auto common = found.front();
        for (const auto& each : found)
            while (!each.starts_with(common))
                common.pop_back();
        const auto space = before.rfind(' ');
        const auto typed = space == before.npos ? before.size() : before.size() - space - 1;
        auto rest = common.substr(typed);
        if (found.size() == 1 && !common.ends_with('='))
            rest += ' ';
        if (!rest.empty())
            return ::el_insertstr(editor_, rest.c_str()) == 0 ? CC_REFRESH : CC_ERROR;
        io_.out << '\n';
        for (const auto& each : found)
            io_.out << each << "  ";
        io_.out << std::endl;
        return CC_REDISPLAY;
    }

    QmpClient& client_;
    bool raw_;
    Io& io_;
    asio::posix::stream_descriptor input_; ///< of a duplicate: closing it leaves standard input be
    QmpHistory history_;
    QmpSchema schema_;
    EditLine* editor_ = nullptr;
    bool editing_ = false, interrupted_ = false;
};

} // namespace

int qmp_shell(QmpClient& client, bool raw, Io& io) {
    return Shell(client, raw, io).run();
}

} // namespace kata_vfio::cli
