// SPDX-License-Identifier: Apache-2.0
#include "config/load.hpp"

#include "config/base/failure.hpp"
#include "config/base/file.hpp"
#include "config/base/file_kind.hpp"
#include "config/base/text.hpp"
#include "config/document.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

namespace kata_vfio::config {
namespace fs = std::filesystem;
namespace {

// Kata's own is 20 to 30 KiB with all its comments.
constexpr std::size_t size_limit = std::size_t{1} << 20;

Problem about(const fs::path& file, std::string why, std::string remedy = {}) {
    Problem problem;
    problem.at.file = file.string();
    problem.text = std::move(why);
    problem.remedy = std::move(remedy);
    return problem;
}

constexpr auto name_one_that_is_there =
    "name a configuration.toml that is there, or none: then Kata's own places are looked at";
constexpr auto name_the_file = "name the configuration.toml itself";
constexpr auto mind_the_drop_in = "correct it, or take it out of config.d";

/// What to do about a file that can't be read.
const char* remedy_for(int error) {
    return error == EACCES || error == EPERM     ? "run as root, or as a user who may read it"
           : error == ENOENT || error == ENOTDIR ? name_one_that_is_there
                                                 : name_the_file;
}

/// The bytes of a configuration file, or a problem. Anything but a regular file is never opened:
/// opening a pipe would wait for a writer for ever. `remedy` is that of every problem, where given.
std::optional<std::string> read(const fs::path& file, std::vector<Problem>& problems,
                                const char* remedy = nullptr) {
    const auto fail = [&](std::string why, const char* advice) {
        problems.push_back(about(file, std::move(why), remedy ? remedy : advice));
        return std::nullopt;
    };
    struct stat status {};
    if (::stat(file.c_str(), &status) != 0) {
        std::error_code ec;
        const int error = errno;
        if (error == ENOENT && fs::is_symlink(fs::symlink_status(file, ec)))
            return fail("is a symbolic link to " + fs::read_symlink(file, ec).string() +
                            ", which does not exist",
                        name_one_that_is_there);
        return fail("can't be read: " + std::generic_category().message(error), remedy_for(error));
    }
    if (!S_ISREG(status.st_mode))
        return fail("is " + std::string(kind_of_file(status.st_mode)) + ", not a file",
                    name_the_file);
    if (static_cast<std::size_t>(status.st_size) > size_limit)
        return fail("is too long for a configuration file: " + std::to_string(status.st_size) +
                        " bytes, at most " + std::to_string(size_limit),
                    name_the_file);
    try {
        if (auto bytes = read_file(file, size_limit))
            return bytes;
    } catch (const Failure& failure) {
        return fail("can't be read: " +
                        (failure.verbatim().empty() ? failure.problem() : failure.verbatim()),
                    remedy_for(failure.sys_errno()));
    }
    return fail("can't be read: " + std::generic_category().message(ENOENT),
                name_one_that_is_there);
}

/// The entries of config.d in byte order of their names; what is no file is told as a warning.
std::vector<fs::path> drop_ins(const fs::path& directory, Configuration& configuration,
                               std::vector<Problem>& problems) {
    std::error_code ec;
    if (!fs::exists(fs::symlink_status(directory, ec)))
        return {};
    std::vector<fs::path> files;
    // An error ends the loop: the iterator is then the end.
    for (fs::directory_iterator entry(directory, ec), end; entry != end; entry.increment(ec))
        files.push_back(entry->path());
    if (ec) {
        problems.push_back(about(directory, "can't be read: " + ec.message(),
                                 "make it a folder of drop-ins, or remove it"));
        return {};
    }
    std::ranges::sort(files, {}, [](const fs::path& file) { return file.filename().native(); });
    std::erase_if(files, [&](const fs::path& file) {
        struct stat status {};
        // A link that leads nowhere stays in, to be reported when it is read.
        if (::stat(file.c_str(), &status) != 0 || S_ISREG(status.st_mode))
            return false;
        auto told = about(file, "is " + std::string(kind_of_file(status.st_mode)) +
                                    " and is skipped: drop-ins are files");
        configuration.warnings.push_back({std::move(told.at), "", std::move(told.text)});
        return true;
    });
    return files;
}

} // namespace

fs::path find(const fs::path& root, const char* env) {
    if (env && *env) {
        const fs::path wanted(env);
        auto file = wanted.is_absolute() ? root / wanted.relative_path() : wanted;
        std::error_code ec;
        if (fs::exists(fs::symlink_status(file, ec)))
            return file;
        throw Failure(Errc::config_invalid, "KATA_CONF_FILE names " +
                                                kata_vfio::quoted(file.string()) +
                                                ", which does not exist")
            .remedy("correct or unset KATA_CONF_FILE");
    }
    std::vector<std::string> places;
    for (const auto* place :
         {"etc/kata-containers/configuration.toml",
          "usr/share/defaults/kata-containers/configuration.toml",
          // kata-static's: the first is a link to that of its default hypervisor.
          "opt/kata/share/defaults/kata-containers/configuration.toml",
          "opt/kata/share/defaults/kata-containers/configuration-qemu.toml"}) {
        auto file = root / place;
        std::error_code ec;
        // A link that leads nowhere counts: going on would silently use another file.
        if (fs::exists(fs::symlink_status(file, ec)))
            return file;
        places.push_back(file.string());
    }
    throw Failure(Errc::config_invalid, "no configuration.toml: none of " + join_words(places) +
                                            " exists, and KATA_CONF_FILE is not set")
        .remedy("install Kata's configuration.toml at one of these, or name another: --config "
                "FILE, or KATA_CONF_FILE");
}

std::string read_text(const fs::path& file) {
    std::vector<Problem> problems;
    auto text = read(file, problems);
    throw_problems(problems);
    return std::move(*text);
}

Configuration load(const fs::path& file) {
    return load_as(file, read_text(file));
}

Inspected inspect_as(const fs::path& file, std::string_view text) {
    Inspected found;
    auto& [configuration, problems] = found;
    configuration.files.push_back(file);
    merge(configuration, text, file.string(), problems);

    std::error_code ec;
    const auto real = fs::canonical(file, ec);
    const auto beside = (ec ? file : real).parent_path();
    for (const auto& drop_in : drop_ins(beside / "config.d", configuration, problems)) {
        configuration.files.push_back(drop_in);
        if (const auto more = read(drop_in, problems, mind_the_drop_in))
            merge(configuration, *more, drop_in.string(), problems);
    }
    return found;
}

Inspected inspect(const fs::path& file) {
    return inspect_as(file, read_text(file));
}

Configuration load_as(const fs::path& file, std::string_view text) {
    auto found = inspect_as(file, text);
    throw_problems(found.problems);
    return std::move(found.configuration);
}

} // namespace kata_vfio::config
