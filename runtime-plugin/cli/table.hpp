// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kata_vfio::cli {

/// Rows for people: columns aligned by two spaces, an empty cell shown as "-", no white space at a
/// line's end. Bytes that could move a terminal's cursor are shown as '?': cells hold what drivers
/// and file names say.
class Table {
  public:
    explicit Table(std::vector<std::string> headings);

    /// As many cells as there are headings; std::invalid_argument otherwise.
    void row(std::vector<std::string> cells);
    bool empty() const noexcept { return rows_.size() == 1; }

    /// "none" without rows.
    std::string str() const;

  private:
    std::vector<std::vector<std::string>> rows_; ///< the headings first
};

/// One thing's properties, a line each: "uuid  bbc4...".
std::string properties(const std::vector<std::pair<std::string, std::string>>& pairs);

/// The text on one line, control characters (U+0080 to U+009F too) as '?'.
std::string printable(std::string_view text);

/// Columns the text takes on a terminal: its code points.
std::size_t width(std::string_view text) noexcept;

} // namespace kata_vfio::cli
