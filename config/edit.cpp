// SPDX-License-Identifier: Apache-2.0
#include "config/edit.hpp"

#include "config/assign.hpp"
#include "config/base/failure.hpp"
#include "config/base/file.hpp"
#include "config/base/text.hpp"
#include "config/document.hpp"
#include "config/keys.hpp"
#include "config/load.hpp"

#include <algorithm>
#include <toml++/toml.h>

namespace kata_vfio::config {
namespace {

constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";

// A file of nothing but such comments must not cost a parse each.
constexpr int most_comments_tried = 64;

/// Half-open range of bytes to be replaced, and by what.
struct Patch {
    EditKind kind;
    std::size_t begin;
    std::size_t end;
    std::string bytes;
};

toml::table parse(std::string_view text, const std::string& file) {
    if (const auto problem = key_too_deep(text, file))
        throw_problems({*problem});
    try {
        return toml::parse(text, std::string_view(file));
    } catch (const toml::parse_error& error) {
        throw_problems({syntax_problem(error, text, file)});
        throw; // never gets here: there was one
    }
}

/// The table at a dotted path, made where there is none; null when something else is there.
toml::table* table_at(toml::table& root, std::string_view path, bool make) {
    auto* table = &root;
    for (const auto part : split(path, '.')) {
        if (make)
            table->insert(part, toml::table{});
        auto* inner = table->get(part);
        if (!inner || !(table = inner->as_table()))
            return nullptr;
    }
    return table;
}

/// Where each line begins, and toml++'s columns (in characters) as offsets (in bytes).
class Lines {
  public:
    explicit Lines(std::string_view text) : text_(text) {
        starts_.push_back(text.starts_with(byte_order_mark) ? byte_order_mark.size() : 0);
        for (std::size_t i = 0; i < text.size(); ++i)
            if (text[i] == '\n')
                starts_.push_back(i + 1);
    }

    std::size_t count() const { return starts_.size(); }
    std::size_t start(std::size_t line) const { return starts_[line - 1]; }
    /// Behind the line's last byte, its line break not counted.
    std::size_t end(std::size_t line) const {
        auto end = line < starts_.size() ? starts_[line] - 1 : text_.size();
        if (line < starts_.size() && end > start(line) && text_[end - 1] == '\r')
            --end;
        return end;
    }
    std::string_view line(std::size_t number) const {
        return text_.substr(start(number), end(number) - start(number));
    }
    std::size_t offset(const toml::source_position& at) const {
        auto byte = start(at.line);
        for (std::uint32_t column = 1; column < at.column && byte < text_.size(); ++column)
            do
                ++byte;
            while (byte < text_.size() && (static_cast<unsigned char>(text_[byte]) & 0xC0) == 0x80);
        return byte;
    }
    std::size_t line_of(std::size_t offset) const {
        std::size_t line = 1;
        while (line < starts_.size() && starts_[line] <= offset)
            ++line;
        return line;
    }
    /// The line break that stands behind the given line, or as in the rest of the file.
    std::string_view newline(std::size_t line) const {
        const auto at = end(line);
        if (at < text_.size())
            return text_[at] == '\r' ? "\r\n" : "\n";
        return text_.find("\r\n") != std::string_view::npos ? "\r\n" : "\n";
    }

  private:
    std::string_view text_;
    std::vector<std::size_t> starts_;
};

/// What stands behind the value of "key = value  # why", with the blanks before it; "" when the
/// line is no TOML, for then nobody knows where its value ends.
std::string_view comment_after(std::string_view assignment) {
    for (auto hash = assignment.find('#'); hash != std::string_view::npos;
         hash = assignment.find('#', hash + 1)) {
        const auto head = trim(assignment.substr(0, hash));
        try {
            (void)toml::parse(head); // a hash within a string leaves one that does not end
            return assignment.substr(head.size());
        } catch (const toml::parse_error&) {
            continue;
        }
    }
    return {};
}

/// The edits worth trying, the most sparing first.
std::vector<Patch> candidates(std::string_view text, const Lines& lines, toml::table& root,
                              std::string_view table, std::string_view key,
                              const std::string& assignment) {
    auto* in = table_at(root, table, false);
    if (const auto* node = in ? in->get(key) : nullptr) {
        const auto& source = node->source();
        const auto begin = lines.offset(source.begin);
        const auto value = assignment.substr(key.size() + 3);
        return {{EditKind::changed, begin, lines.offset(source.end), value}};
    }
    std::vector<Patch> patches;
    for (std::size_t number = 1; number <= lines.count(); ++number) {
        const auto line = lines.line(number);
        const auto hash = line.find_first_not_of(" \t");
        if (hash == std::string_view::npos || line[hash] != '#')
            continue;
        auto rest = trim(line.substr(hash + 1));
        if (!rest.starts_with(key) || !trim(rest.substr(key.size())).starts_with('='))
            continue;
        if (patches.size() < most_comments_tried)
            patches.push_back({EditKind::uncommented, lines.start(number) + hash, lines.end(number),
                               assignment + std::string(comment_after(rest))});
    }
    if (in) {
        const auto header = in->source().begin.line;
        if (header > 0 && trim(lines.line(header)).starts_with('['))
            patches.push_back({EditKind::inserted, lines.end(header), lines.end(header),
                               std::string(lines.newline(header)) + assignment});
    }
    const auto newline = std::string(lines.newline(lines.count()));
    const auto body = text.starts_with(byte_order_mark) ? text.substr(3) : text;
    std::string appended = body.empty() || body.ends_with('\n') ? "" : newline;
    appended += (body.empty() ? "" : newline) + "[" + std::string(table) + "]" + newline +
                assignment + newline;
    patches.push_back({EditKind::appended, text.size(), text.size(), std::move(appended)});
    return patches;
}

std::string applied(std::string_view text, const Patch& patch) {
    std::string after(text.substr(0, patch.begin));
    after += patch.bytes;
    return after += text.substr(patch.end);
}

} // namespace

std::string_view name(EditKind kind) noexcept {
    switch (kind) {
    case EditKind::none:
        return "none";
    case EditKind::uncommented:
        return "uncommented";
    case EditKind::changed:
        return "changed";
    case EditKind::inserted:
        return "inserted";
    case EditKind::appended:
        return "appended";
    }
    return "unknown";
}

Edit set_value_in(std::string_view text, std::string_view table, std::string_view key,
                  std::string_view literal, const std::string& file_name) {
    auto before = parse(text, file_name);
    const auto assignment = std::string(key) + " = " + std::string(literal);
    auto value = parse(assignment, "the new value");
    if (value.size() != 1 || !value.get(key))
        throw Failure(Errc::invalid_argument, "the new value of " + std::string(key) +
                                                  " must be one value, is " +
                                                  kata_vfio::quoted(literal));

    // What the file must say afterwards, in full.
    auto wanted = before;
    auto* target = table_at(wanted, table, true);
    if (!target)
        throw Failure(Errc::config_invalid, file_name + " " + std::string(key) +
                                                ": can't be set, since [" + std::string(table) +
                                                "] or what it lies in is no table there")
            .remedy("correct the file by hand");
    value.get(key)->visit([&](const auto& node) { target->insert_or_assign(key, node); });

    const Lines lines(text);
    if (wanted == before) {
        const auto line = table_at(before, table, false)->get(key)->source().begin.line;
        return {EditKind::none, line, std::string(text)};
    }
    for (const auto& patch : candidates(text, lines, before, table, key, assignment)) {
        auto after = applied(text, patch);
        try {
            auto parsed = toml::parse(after, std::string_view(file_name));
            if (!(parsed == wanted))
                continue;
            const auto line = table_at(parsed, table, false)->get(key)->source().begin.line;
            return {patch.kind, line, std::move(after)};
        } catch (const toml::parse_error&) {
            // The edit does not fit this file (an inline table can't be added to, a comment stood
            // in another table); the next one may.
            continue;
        }
    }
    throw Failure(Errc::config_invalid,
                  file_name + " " + std::string(key) + ": can't be set without rewriting [" +
                      std::string(table) +
                      "], which is an inline table or made of dotted keys there")
        .remedy("write " + assignment + " into it by hand");
}

namespace {

struct EditedFile {
    Edit edit;
    Configuration configuration;
};

/// What is wrong with the edited text was wrong before, but may have stood on another line.
[[noreturn]] void refuse_edit(const std::filesystem::path& file, std::string_view text,
                              std::vector<Problem> problems) {
    auto before = inspect_as(file, text).problems;
    for (auto& problem : problems) {
        const auto same = std::find_if(before.begin(), before.end(), [&](const Problem& other) {
            return other.at.file == problem.at.file && other.key == problem.key &&
                   other.text == problem.text;
        });
        if (same == before.end())
            continue;
        problem.at = same->at;
        before.erase(same);
    }
    try {
        throw_problems(problems);
    } catch (Failure& failure) {
        throw failure.remedy(file.string() + " was not written: correct this first");
    }
    throw Failure(Errc::internal, "an edit was refused without a problem");
}

EditedFile edit_file(const std::filesystem::path& file, std::string_view table,
                     std::string_view key, std::string_view literal) {
    // A wrong value in the file is no reason to stop: it may be the one that is to be changed.
    const auto text = read_text(file);
    auto edit = set_value_in(text, table, key, literal, file.string());
    auto found = inspect_as(file, edit.text);
    if (!found.problems.empty())
        refuse_edit(file, text, std::move(found.problems));
    if (edit.kind != EditKind::none)
        write_atomically(file, edit.text);
    return {std::move(edit), std::move(found.configuration)};
}

} // namespace

Edit set_value(const std::filesystem::path& file, std::string_view table, std::string_view key,
               std::string_view literal) {
    return edit_file(file, table, key, literal).edit;
}

SetKernelResult set_kernel(const std::filesystem::path& file, const std::string& path) {
    auto [edit, configuration] = edit_file(file, "hypervisor.qemu", "kernel", toml_string(path));
    const auto& origin = configuration.where.at("hypervisor.qemu.kernel");
    return {std::move(edit), origin.overridden.empty() ? origin.at : origin.overridden.front(),
            configuration.hypervisor.kernel, origin.at};
}

EnableResult enable(const std::filesystem::path& file) {
    auto [edit, configuration] =
        edit_file(file, "hypervisor.qemu", "hotplug_vfio_on_root_bus", "true");
    const auto& origin = configuration.where.at("hypervisor.qemu.hotplug_vfio_on_root_bus");
    return {std::move(edit), origin.overridden.empty() ? origin.at : origin.overridden.front(),
            configuration.warnings, validate(configuration)};
}

} // namespace kata_vfio::config
