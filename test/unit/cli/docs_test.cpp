// SPDX-License-Identifier: Apache-2.0
// The documents' commands are ones that the command takes, and the words that troubleshooting.md
// looks for are ones that the code says. Those of the guides are run besides, in the lab
// (test/scenarios/guide and documents).
#include "config/base/errc.hpp"
#include "config/base/failure.hpp"
#include "config/base/file.hpp"
#include "config/base/text.hpp"
#include "runtime-plugin/cli/command_line.hpp"
#include "test/places/places.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <regex>

namespace kata_vfio::cli {
namespace {

namespace fs = std::filesystem;

/// The words of the kata-vfio command in a shell's line, if there is one: up to a pipe, a
/// redirection, a comment. Nullopt for what is a form and no command ("[", "...", "<").
std::optional<std::vector<std::string>> words_of(std::string line) {
    const std::regex before(R"(^\s*(\$ |# )?(sudo (-E )?)?(ip netns exec \S+ )?)");
    line = std::regex_replace(line, before, "", std::regex_constants::format_first_only);
    if (!line.starts_with("kata-vfio "))
        return std::nullopt;
    std::vector<std::string> words;
    std::string word;
    char quote = 0;
    bool in_word = false;
    for (const char c : line + " ") {
        if (quote) {
            if (c == quote)
                quote = 0;
            else
                word += c;
        } else if (c == '\'' || c == '"') {
            quote = c;
            in_word = true;
        } else if (c == ' ') {
            if (in_word)
                words.push_back(std::exchange(word, ""));
            in_word = false;
        } else if (c == '|' || c == '>' || c == '<' || c == '&' || c == ';' ||
                   (c == '#' && !in_word)) {
            if (in_word)
                words.push_back(std::exchange(word, ""));
            break;
        } else {
            word += c;
            in_word = true;
        }
    }
    words.erase(words.begin());
    for (auto& each : words) {
        if (each == "$$")
            each = "4711";
        if (each.find("...") != each.npos || each.find('[') != each.npos || each == "VERB")
            return std::nullopt;
    }
    return words;
}

std::vector<fs::path> documents() {
    std::vector<fs::path> found{fs::path(test::source_dir) / "README.md"};
    for (const auto& entry : fs::directory_iterator(fs::path(test::source_dir) / "docs"))
        if (entry.path().extension() == ".md")
            found.push_back(entry.path());
    std::sort(found.begin(), found.end());
    return found;
}

TEST(Docs, EveryCommandIsOneThatTheCommandTakes) {
    std::size_t seen = 0;
    for (const auto& path : documents()) {
        const auto text = read_file(path.string()).value();
        bool fenced = false;
        std::string pending;
        std::size_t number = 0;
        for (const auto raw : split(text, '\n')) {
            ++number;
            if (raw.starts_with("```")) {
                fenced = !fenced;
                continue;
            }
            if (!fenced && !raw.starts_with("    "))
                continue;
            pending += raw;
            if (pending.ends_with('\\')) {
                pending.pop_back();
                continue;
            }
            const auto words = words_of(std::exchange(pending, ""));
            if (!words)
                continue;
            ++seen;
            try {
                (void)parse(*words);
            } catch (const Failure& failure) {
                ADD_FAILURE() << path.string() << ":" << number << ": " << raw << "\n"
                              << failure.what();
            }
        }
    }
    EXPECT_GT(seen, 60u);
}

TEST(Docs, ACommandThatIsNoneIsFound) {
    const auto words = words_of("    sudo kata-vfio atach s1 'a b'   # no such verb").value();
    EXPECT_EQ(words, (std::vector<std::string>{"atach", "s1", "a b"}));
    EXPECT_THROW((void)parse(words), Failure);
}

/// All string literals of the product's code, adjacent ones joined.
std::string said_by_code() {
    std::string all;
    for (const auto* room : {"config", "vfio", "mdev", "qemu", "runtime-plugin"})
        for (const auto& entry :
             fs::recursive_directory_iterator(fs::path(test::source_dir) / room))
            if (entry.path().extension() == ".cpp")
                all += read_file(entry.path().string()).value();
    all = std::regex_replace(all, std::regex("\"\\s*\n\\s*\""), "");
    return std::regex_replace(all, std::regex("\\\\\""), "\"");
}

TEST(Docs, TroubleshootingLooksForWhatTheCodeSays) {
    const auto code = said_by_code();
    const auto text = read_file(std::string(test::source_dir) + "/docs/troubleshooting.md").value();
    const std::regex row(R"(^\| (`.*`) \| `(\w+)` \| )");
    std::vector<std::string> names;
    for (const auto line : split(text, '\n')) {
        std::smatch match;
        const std::string one(line);
        if (!std::regex_search(one, match, row))
            continue;
        names.push_back(match[2]);
        const auto* known = std::find_if(errc_begin(), errc_end(), [&](const auto& each) {
            return each.name == match[2].str();
        });
        EXPECT_NE(known, errc_end()) << match[2];
        const std::string phrases = match[1];
        for (const auto part : split(phrases, '`'))
            EXPECT_TRUE(part.empty() || part == ", " || code.find(part) != code.npos)
                << "nothing says '" << part << "'";
    }
    // Every refusal by host, policy or QEMU that an operator meets is there.
    EXPECT_GE(names.size(), 25u);
}

} // namespace
} // namespace kata_vfio::cli
