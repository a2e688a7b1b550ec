// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime-plugin/cli/run.hpp"

#include <boost/json.hpp>

#include <sstream>
#include <string>
#include <vector>

namespace kata_vfio::cli {

/// One run of the command, in this process.
struct Done {
    int status = 0;
    std::string out, err;

    boost::json::object json() const { return boost::json::parse(out).as_object(); }
};

inline Done command(const std::vector<std::string>& args) {
    std::ostringstream out, err;
    Io io{out, err, false};
    Done result;
    result.status = run(args, io);
    result.out = out.str();
    result.err = err.str();
    return result;
}

} // namespace kata_vfio::cli
