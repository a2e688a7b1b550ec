// SPDX-License-Identifier: Apache-2.0
#include "runtime-plugin/cli/table.hpp"

#include <algorithm>
#include <stdexcept>

namespace kata_vfio::cli {
namespace {

std::string lines(const std::vector<std::vector<std::string>>& rows) {
    std::vector<std::size_t> widths;
    for (const auto& row : rows) {
        widths.resize(std::max(widths.size(), row.size()));
        for (std::size_t i = 0; i < row.size(); ++i)
            widths[i] = std::max(widths[i], width(row[i]));
    }
    std::string text;
    for (const auto& row : rows) {
        for (std::size_t i = 0; i < row.size(); ++i) {
            text += row[i];
            if (i + 1 < row.size())
                text.append(widths[i] - width(row[i]) + 2, ' ');
        }
        text += '\n';
    }
    return text;
}

std::string cell(const std::string& text) {
    return text.empty() ? "-" : printable(text);
}

} // namespace

Table::Table(std::vector<std::string> headings) : rows_{std::move(headings)} {}

void Table::row(std::vector<std::string> cells) {
    if (cells.size() != rows_.front().size())
        throw std::invalid_argument("a table row of the wrong length");
    std::transform(cells.begin(), cells.end(), cells.begin(), cell);
    rows_.push_back(std::move(cells));
}

std::string Table::str() const {
    return empty() ? "none\n" : lines(rows_);
}

std::string properties(const std::vector<std::pair<std::string, std::string>>& pairs) {
    std::vector<std::vector<std::string>> rows;
    for (const auto& [name, value] : pairs)
        rows.push_back({name, cell(value)});
    return lines(rows);
}

std::string printable(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const auto byte = static_cast<unsigned char>(text[i]);
        const auto next = static_cast<unsigned char>(i + 1 < text.size() ? text[i + 1] : 0);
        const bool c1 = byte == 0xc2 && next >= 0x80 && next <= 0x9f; // U+009B begins as ESC [ does
        out += c1 || byte < 0x20 || byte == 0x7f ? '?' : text[i];
        i += c1 ? 1 : 0;
    }
    return out;
}

std::size_t width(std::string_view text) noexcept {
    return static_cast<std::size_t>(std::count_if(
        text.begin(), text.end(), [](unsigned char c) { return (c & 0xc0) != 0x80; }));
}

} // namespace kata_vfio::cli
