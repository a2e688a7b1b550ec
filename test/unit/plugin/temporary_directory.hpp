// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>

namespace kata_vfio::plugin_test {

/// A fixture with a directory of its own, removed afterwards.
class WithDirectory : public ::testing::Test {
  protected:
    WithDirectory() {
        auto name = (std::filesystem::temp_directory_path() / "kata-vfio-unit.XXXXXX").string();
        if (::mkdtemp(name.data()) == nullptr)
            throw std::runtime_error("can't make " + name);
        directory = name;
    }
    ~WithDirectory() override { std::filesystem::remove_all(directory); }

    std::filesystem::path directory;
};

} // namespace kata_vfio::plugin_test
