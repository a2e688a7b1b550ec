// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

/// What shim and guest agent say to each other over one connection, of vsock or of virtio-serial:
/// docs/agent-protocol.md.
/// Both ends use these files, and neither trusts the other.
namespace kata_vfio::agent {

/// Told in `hello`; a change that an older end can't read counts it up.
inline constexpr int protocol_version = 5;
/// virtio-serial's port's name, /sys/class/virtio-ports/*/name in the guest.
inline constexpr std::string_view port_name = "kata-vfio.agent";
/// The beginning of a word of the guest's kernel command line: the host's vsock port, in decimal,
/// that the agent connects to instead.
inline constexpr std::string_view vsock_word = "kata_vfio.vsock=";
/// What the share is called on its bus, be that virtio-9p's or virtio-fs's.
inline constexpr std::string_view share_tag = "share";
/// A word of the guest's kernel command line: it is virtio-fs.
inline constexpr std::string_view share_by_virtio_fs = "kata_vfio.share=virtiofs";

/// Longest payload of a control frame (a container's description: 32 Ki of environment and more).
inline constexpr std::size_t max_control = 1u << 20;
/// Longest payload of a data frame.
inline constexpr std::size_t max_data = 32u << 10;
/// Bytes of one stream of one process that may be on their way without a credit for them.
inline constexpr std::uint32_t window = 256u << 10;
/// Processes of one guest, and containers.
inline constexpr std::size_t max_processes = 4096;

enum class FrameType : std::uint8_t {
    // host to guest
    request = 1,       ///< control; JSON, answered by a reply of the same id
    stdin_data = 2,    ///< data of process `process`
    stdin_end = 3,     ///< no payload
    stdout_credit = 4, ///< 4 bytes: that many of the stream were taken
    stderr_credit = 5,
    // guest to host
    hello = 16, ///< control; JSON, first and once
    reply = 17, ///< control; JSON
    stdout_data = 18,
    stderr_data = 19,
    stdout_end = 20, ///< no payload; the stream's last
    stderr_end = 21,
    stdin_credit = 22, ///< 4 bytes
    exited = 23,       ///< 4 bytes: exit status, 128 + signal when killed by one
    log = 24,          ///< data; one line for the shim's log
    /// 4 bytes: how many processes of the container, whose first is `process`, the guest's kernel
    /// has ended for want of memory in its cgroup; each such frame has more than the one before
    oom_kills = 25,
};

/// 5 bytes of length and type are followed by the process number, all big-endian, and the payload.
struct Frame {
    FrameType type = FrameType::request;
    std::uint32_t process = 0; ///< 0: none in particular
    std::string payload;
};

/// The other end does not keep to the protocol. The connection is of no more use.
class ProtocolError : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

enum class Sender { host, guest };

std::string encode(const Frame& frame);
std::string encode(FrameType type, std::uint32_t process, std::string_view payload = {});
/// The 4 bytes of a credit or an exit status.
std::string number_payload(std::uint32_t number);
/// Throws ProtocolError when it is not 4 bytes.
std::uint32_t payload_number(const Frame& frame);

/// Bytes from the other end -> frames. Sans-io, single-threaded. Throws ProtocolError as soon as a
/// header is wrong: a type that `peer` does not send, or a length over that type's limit. So it
/// never holds more than one frame and what was fed beyond it.
class FrameReader {
  public:
    explicit FrameReader(Sender peer) : peer_(peer) {}
    void feed(std::string_view bytes);
    std::optional<Frame> next();

  private:
    Sender peer_;
    std::string buffer_;
    std::size_t begin_ = 0;
};

} // namespace kata_vfio::agent
