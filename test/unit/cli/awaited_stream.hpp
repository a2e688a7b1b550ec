// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <mutex>
#include <ostream>
#include <streambuf>
#include <string>
#include <string_view>

namespace kata_vfio::cli {

/// The buffer of an output stream that another thread can wait on for a text.
class AwaitedBuffer : public std::streambuf {
  public:
    void wait_for(std::string_view text) {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return text_.find(text) != std::string::npos; });
    }
    std::string text() {
        const std::lock_guard lock(mutex_);
        return text_;
    }

  private:
    std::streamsize xsputn(const char* bytes, std::streamsize count) override {
        const std::lock_guard lock(mutex_);
        text_.append(bytes, static_cast<std::size_t>(count));
        changed_.notify_all();
        return count;
    }
    int_type overflow(int_type byte) override {
        const char one = traits_type::to_char_type(byte);
        xsputn(&one, 1);
        return byte;
    }

    std::mutex mutex_;
    std::condition_variable changed_;
    std::string text_;
};

} // namespace kata_vfio::cli
