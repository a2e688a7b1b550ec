// SPDX-License-Identifier: Apache-2.0
// state.json of any bytes: refused as corrupt, or a state that is written as something that reads
// back as the same.
#include "runtime-plugin/plugin/sandbox_state.hpp"
#include "test/fuzz/fuzz.hpp"

#include <boost/json/serialize.hpp>

using namespace kata_vfio::plugin;

namespace kata_vfio::fuzz {

void one(std::string_view bytes) {
    refusal({Errc::state_corrupt}, [&] {
        const auto state = parse_state(bytes, "state.json");
        for (const auto& attachment : state.attachments) {
            (void)attachment.answers_to("0000:00:02.0");
            require(!attachment.bound || attachment.owned(), "what was bound is owned");
        }
        const auto written = boost::json::serialize(to_json(state));
        require(boost::json::serialize(to_json(parse_state(written, "again"))) == written,
                "a state reads back as it was");
    });
}

} // namespace kata_vfio::fuzz
