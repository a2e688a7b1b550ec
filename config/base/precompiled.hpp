// SPDX-License-Identifier: Apache-2.0
// Not to be included: the headers that the compiler reads once for all libraries without Asio
// (CMakeLists.txt, kata_vfio_precompile). Each file includes what it uses all the same.
#pragma once

#include <boost/json.hpp>

#include <algorithm>
#include <chrono>
#include <exception>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>
