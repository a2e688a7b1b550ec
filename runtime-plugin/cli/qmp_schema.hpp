// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace kata_vfio::cli {

/// What query-qmp-schema tells, for completion (qapi/introspect.json). Pure.
class QmpSchema {
  public:
    QmpSchema() = default;
    explicit QmpSchema(const boost::json::value& schema);

    /// What the last word of `line` may become, whole words, sorted: a command, an argument's name
    /// with its '=' (a.b for one inside of an object) that is not there yet, or a value where the
    /// schema lists them.
    std::vector<std::string> completions(std::string_view line) const;

    std::vector<std::string> commands() const;

  private:
    const boost::json::object* entry(std::string_view name) const;
    std::vector<std::pair<std::string, std::string>> members(const boost::json::object& type) const;
    std::vector<std::string> values(std::string_view type) const;
    /// The type of argument `path` of a command; "" when there is none.
    std::string type_of(std::string_view command, std::string_view path) const;

    std::map<std::string, boost::json::object, std::less<>> entries_;
};

} // namespace kata_vfio::cli
