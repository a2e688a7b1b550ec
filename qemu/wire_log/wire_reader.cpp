// SPDX-License-Identifier: Apache-2.0
#include "qemu/wire_log/wire_reader.hpp"

#include "config/base/failure.hpp"
#include "config/base/file.hpp"
#include "qemu/wire_log/wire_lines.hpp"

#include <boost/json/parse.hpp>

#include <algorithm>

namespace kata_vfio::qemu {
namespace fs = std::filesystem;
namespace {

/// Beyond what qmp_log_max_bytes allows, with room for one line that had a file of its own.
constexpr std::size_t longest_file = 512u << 20;
constexpr unsigned most_files = 1000;

} // namespace

std::variant<std::monostate, WireRecord, std::string> read_wire_line(std::string_view line,
                                                                     bool complete) {
    if (line.empty())
        return {};
    auto parsed = parse_wire_line(line);
    if (const auto* why = std::get_if<std::string>(&parsed))
        return complete ? *why : "the last line is cut off (" + *why + ")";
    auto& record = std::get<WireRecord>(parsed);
    if (record.kind != WireRecord::Kind::log)
        return std::move(record);
    const auto header = boost::json::parse(line);
    const auto* version = header.as_object().if_contains("version");
    if (!version || *version != WireLines::version)
        return "not version " + std::to_string(WireLines::version) +
               " of the format; read as far as it is known";
    return {};
}

void add_wire_text(WireHistory& history, std::string_view text, const std::string& file) {
    const auto problem = [&](std::size_t line, const std::string& why) {
        ++history.bad_lines;
        if (history.problems.size() < most_wire_problems)
            history.problems.push_back(file + ":" + std::to_string(line) + ": " + why);
    };
    std::size_t number = 0;
    for (std::size_t begin = 0; begin < text.size();) {
        ++number;
        const auto newline = text.find('\n', begin);
        const bool complete = newline != text.npos;
        const auto line = text.substr(begin, complete ? newline - begin : text.npos);
        begin = complete ? newline + 1 : text.size();
        auto read = read_wire_line(line, complete);
        if (const auto* why = std::get_if<std::string>(&read))
            problem(number, *why);
        auto* record = std::get_if<WireRecord>(&read);
        if (!record)
            continue;
        record->file = file;
        record->line = number;
        history.records.push_back(std::move(*record));
    }
}

WireHistory read_wire_log(const fs::path& path) {
    std::vector<fs::path> files;
    for (unsigned i = most_files; i > 0; --i) {
        std::error_code error;
        const fs::path kept = path.native() + "." + std::to_string(i);
        if (fs::exists(kept, error))
            files.push_back(kept);
    }
    files.push_back(path);
    WireHistory history;
    for (const auto& file : files) {
        std::error_code error;
        if (fs::is_directory(file, error))
            throw Failure(Errc::host_io, file.string() + " is a directory, not a QMP log");
        const auto text = read_file(file, longest_file);
        if (!text)
            continue; // rotated away while we looked
        history.files.push_back(file.string());
        add_wire_text(history, *text, file.filename().string());
    }
    if (history.files.empty())
        throw Failure(Errc::host_io, "there is no QMP log " + path.string());
    return history;
}

} // namespace kata_vfio::qemu
