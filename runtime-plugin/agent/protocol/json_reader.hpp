// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace kata_vfio::agent {

/// Reads members of one JSON object that somebody else wrote, each with its bounds. Throws
/// ProtocolError that names the member and what is wrong with it. Unknown members are ignored.
class JsonReader {
  public:
    static constexpr std::size_t max_text = 128u << 10; ///< of one argument: MAX_ARG_STRLEN
    static constexpr std::size_t max_items = 16384;

    explicit JsonReader(const boost::json::object& read) : object_(read) {}

    bool has(std::string_view name) const { return member(name) != nullptr; }
    /// An absent member is the default ("" and so on); `needed` ones have to be there.
    std::string text(std::string_view name, std::size_t most = max_text) const;
    std::string needed_text(std::string_view name, std::size_t most = max_text) const;
    std::string needed_name(std::string_view name) const; ///< one path component
    std::string needed_path(std::string_view name) const; ///< absolute, at most 4095 bytes
    std::uint64_t number(std::string_view name, std::uint64_t most) const;
    std::int64_t integer(std::string_view name, std::int64_t least, std::int64_t most) const;
    bool flag(std::string_view name) const;
    std::vector<std::string> texts(std::string_view name) const;
    std::vector<std::uint32_t> numbers(std::string_view name) const;
    const boost::json::object& needed_object(std::string_view name) const;
    /// nullptr when it is absent.
    const boost::json::object* object(std::string_view name) const;
    void each_object(std::string_view name,
                     const std::function<void(const boost::json::object&)>& use) const;

  private:
    /// nullptr when it is absent or null, which Go writes for an empty list.
    const boost::json::value* member(std::string_view name) const;
    const boost::json::array* list(std::string_view name) const;

    const boost::json::object& object_;
};

/// The payload as one object; nested at most 16 deep.
boost::json::object parse_object(std::string_view payload);

} // namespace kata_vfio::agent
