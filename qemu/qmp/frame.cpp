// SPDX-License-Identifier: Apache-2.0
#include "qemu/qmp/frame.hpp"

namespace kata_vfio::qemu {
namespace {

constexpr std::size_t excerpt = 256; ///< kept of a message that is over a limit

} // namespace

void FrameSplitter::feed(std::string_view bytes) {
    if (begin_ > 0) {
        buffer_.erase(0, begin_);
        scan_ -= begin_;
        begin_ = 0;
    }
    buffer_.append(bytes);
}

Frame FrameSplitter::take(std::size_t end, FrameFault fault) {
    const Frame frame{fault, std::string_view(buffer_).substr(begin_, end - begin_)};
    begin_ = scan_ = end;
    return frame;
}

std::optional<Frame> FrameSplitter::next() {
    while (depth_ == 0 && scan_ < buffer_.size()) {
        const char c = buffer_[scan_];
        if (c == '{' || c == '[') {
            begin_ = scan_;
            in_stray_ = false;
            break;
        }
        if (in_stray_) {
            in_stray_ = c != '\n';
            begin_ = ++scan_;
        } else if (is_json_space(c)) {
            begin_ = ++scan_;
        } else {
            const auto end = buffer_.find_first_of("\n{[", scan_);
            in_stray_ = end == std::string::npos;
            begin_ = scan_;
            return take(in_stray_ ? buffer_.size() : end, FrameFault::stray);
        }
    }

    for (; scan_ < buffer_.size(); ++scan_) {
        const char c = buffer_[scan_];
        if (in_string_) {
            if (escaped_)
                escaped_ = false;
            else if (c == '\\')
                escaped_ = true;
            else if (c == '"')
                in_string_ = false;
            continue;
        }
        if (c == '"') {
            in_string_ = true;
        } else if (c == '{' || c == '[') {
            // The limit that is passed first is the one that is told, however the bytes come.
            if (++depth_ > limits_.max_depth && skipping_ == FrameFault::none)
                skipping_ = scan_ + 1 - begin_ > limits_.max_bytes ? FrameFault::too_long
                                                                   : FrameFault::too_deep;
        } else if ((c == '}' || c == ']') && --depth_ == 0) {
            const std::size_t size = skipped_ + scan_ + 1 - begin_;
            auto fault = skipping_;
            if (fault == FrameFault::none && size > limits_.max_bytes)
                fault = FrameFault::too_long;
            skipping_ = FrameFault::none;
            skipped_ = 0;
            auto frame = take(scan_ + 1, fault);
            if (fault != FrameFault::none)
                frame.text = frame.text.substr(0, excerpt);
            return frame;
        }
    }

    // What is over a limit is not kept but for its beginning, however long it goes on.
    if (skipping_ == FrameFault::none && depth_ > 0 && scan_ - begin_ > limits_.max_bytes)
        skipping_ = FrameFault::too_long;
    if (skipping_ != FrameFault::none && scan_ - begin_ > excerpt) {
        skipped_ += scan_ - begin_ - excerpt;
        buffer_.erase(begin_ + excerpt);
        if (buffer_.capacity() > (1u << 20))
            buffer_.shrink_to_fit();
        scan_ = buffer_.size();
    }
    return std::nullopt;
}

std::string_view FrameSplitter::partial() const noexcept {
    return std::string_view(buffer_).substr(begin_);
}

} // namespace kata_vfio::qemu
