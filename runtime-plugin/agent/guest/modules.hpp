// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace kata_vfio::agent {

/// Which module a device wants and what that needs, out of depmod's text files. Pure.
class ModuleIndex {
  public:
    ModuleIndex() = default;
    /// The contents of modules.alias and modules.dep.
    ModuleIndex(std::string_view aliases, std::string_view dependencies);

    /// Names of the modules that a MODALIAS ("pci:v00001234d00001111sv...") asks for.
    std::vector<std::string> for_alias(const std::string& modalias) const;
    bool empty() const noexcept { return files_.empty(); }
    /// The files, below the index's directory, to load for a module in this order; empty when there
    /// is none of that name (it is built in).
    std::vector<std::string> files_of(std::string_view module) const;

  private:
    std::vector<std::pair<std::string, std::string>> aliases_; ///< pattern, module
    std::map<std::string, std::vector<std::string>, std::less<>> files_;
};

/// The modules of the guest's image.
class Modules {
  public:
    /// `directory`: /lib/modules/RELEASE; a kernel that has all it needs built in has none.
    explicit Modules(std::filesystem::path directory);
    /// There is nothing to load: who asks need not look for what to ask for.
    bool empty() const noexcept { return index_.empty(); }
    /// The modules that the file `first` names, one a line, in that order.
    void load_first() const;
    void load_for_alias(const std::string& modalias) const;
    void load(std::string_view module) const;

  private:
    void load_file(const std::string& file) const;

    std::filesystem::path directory_;
    ModuleIndex index_;
};

} // namespace kata_vfio::agent
