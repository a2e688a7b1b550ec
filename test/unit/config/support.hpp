// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "config/base/failure.hpp"
#include "test/places/places.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

namespace kata_vfio::config {

inline const std::filesystem::path fixtures = std::filesystem::path(test::fixtures_dir) / "config";

/// What a call throws: "code: text", or "" when it throws nothing.
template <class Call>
std::string thrown(Call&& call) {
    try {
        call();
    } catch (const Failure& failure) {
        return std::string(name(failure.code())) + ": " + failure.what();
    }
    return {};
}

/// A directory of one test's own, gone afterwards.
class Scratch {
  public:
    Scratch() {
        std::string pattern =
            (std::filesystem::path(testing::TempDir()) / "config.XXXXXX").string();
        path_ = ::mkdtemp(pattern.data());
    }
    ~Scratch() { std::filesystem::remove_all(path_); }
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;

    const std::filesystem::path& path() const { return path_; }
    std::filesystem::path write(const std::filesystem::path& name, std::string_view text) const {
        const auto file = path_ / name;
        std::filesystem::create_directories(file.parent_path());
        std::ofstream(file, std::ios::binary) << text;
        return file;
    }
    /// `text` without this directory's name, which differs from run to run.
    std::string relative(std::string text) const {
        const auto prefix = path_.string() + "/";
        for (auto at = text.find(prefix); at != std::string::npos; at = text.find(prefix))
            text.erase(at, prefix.size());
        return text;
    }

  private:
    std::filesystem::path path_;
};

inline std::string slurp(const std::filesystem::path& file) {
    std::ifstream in(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

/// KATA_VFIO_REGENERATE is set: golden files are written before they are compared.
inline bool regenerate() {
    return std::getenv("KATA_VFIO_REGENERATE") != nullptr;
}

} // namespace kata_vfio::config
