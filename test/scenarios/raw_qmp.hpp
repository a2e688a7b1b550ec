// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/base/unique_fd.hpp"

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <string>

namespace kata_vfio::scenario {

/// The barest QMP client there is, to measure against: blocking, a line at a time, one command in
/// flight. It stands for "a raw client" in the benchmarks and shares no code with the product's.
class RawQmp {
  public:
    explicit RawQmp(const std::string& path) : fd_(::socket(AF_UNIX, SOCK_STREAM, 0)) {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        if (path.size() >= sizeof address.sun_path)
            throw std::runtime_error("the socket's path is too long: " + path);
        std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
        if (::connect(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
            throw std::runtime_error("can't connect to " + path);
        line(); // greeting
        command(R"({"execute":"qmp_capabilities"})");
    }

    /// Sends one command and returns its reply's line; events before it are skipped.
    std::string command(const std::string& text) {
        const auto message = text + "\n";
        if (::send(fd_.get(), message.data(), message.size(), MSG_NOSIGNAL) !=
            static_cast<ssize_t>(message.size()))
            throw std::runtime_error("QEMU did not take the command");
        silence_limit(60);
        for (;;) {
            auto answer = line();
            if (answer.empty())
                throw std::runtime_error("QEMU was silent for 60 s after " + text);
            if (answer.find("\"event\"") == std::string::npos)
                return answer;
            if (answer.find("DEVICE_DELETED") != std::string::npos)
                deleted_ = answer;
        }
    }

    /// Sends device_del and waits for DEVICE_DELETED of the device. A guest that has not taken the
    /// device in yet loses the request: after a silence it is sent again.
    void remove(const std::string& id) {
        const auto request = R"({"execute":"device_del","arguments":{"id":")" + id + "\"}}";
        for (int tries = 0; tries < 10; ++tries) {
            const auto answer = command(request);
            if (answer.find("DeviceNotFound") != std::string::npos || await_deleted(id))
                return;
        }
        throw std::runtime_error("the guest does not let " + id + " go");
    }

  private:
    /// False after 3 s of silence.
    bool await_deleted(const std::string& id) {
        // QEMU writes a space after the colon, a scripted peer may not.
        const auto is_it = [&](const std::string& event) {
            return event.find("\"device\": \"" + id + "\"") != std::string::npos ||
                   event.find("\"device\":\"" + id + "\"") != std::string::npos;
        };
        silence_limit(3);
        while (!is_it(deleted_)) {
            auto answer = line();
            if (answer.empty())
                return false;
            if (answer.find("DEVICE_DELETED") != std::string::npos)
                deleted_ = answer;
        }
        deleted_.clear();
        return true;
    }

    void silence_limit(int seconds) {
        const timeval limit{seconds, 0};
        ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    }

    /// "" when the limit of silence is over.
    std::string line() {
        for (;;) {
            if (const auto end = buffer_.find('\n'); end != std::string::npos) {
                auto text = buffer_.substr(0, end);
                buffer_.erase(0, end + 1);
                return text;
            }
            char chunk[65536];
            const auto n = ::read(fd_.get(), chunk, sizeof chunk);
            if (n < 0 && errno == EAGAIN)
                return {};
            if (n <= 0)
                throw std::runtime_error("QEMU closed the monitor");
            buffer_.append(chunk, static_cast<std::size_t>(n));
        }
    }

    UniqueFd fd_;
    std::string buffer_, deleted_;
};

} // namespace kata_vfio::scenario
