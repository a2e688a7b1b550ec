// SPDX-License-Identifier: Apache-2.0
// How fast what QEMU says is taken apart: the longest reply there is, and a flood of events.
#include "config/base/file.hpp"
#include "qemu/qmp/frame.hpp"
#include "qemu/qmp/message.hpp"
#include "test/places/places.hpp"

#include <benchmark/benchmark.h>

#include <cstdlib>
#include <stdexcept>
#include <string>
#include <variant>

namespace {

using namespace kata_vfio;
using namespace kata_vfio::qemu;

/// As a session reads: in pieces of its buffer's size.
std::size_t parse_all(FrameSplitter& splitter, std::string_view bytes) {
    std::size_t messages = 0;
    for (std::size_t at = 0; at < bytes.size(); at += 8192) {
        splitter.feed(bytes.substr(at, 8192));
        while (auto frame = splitter.next()) {
            auto message = parse_message(frame->text);
            benchmark::DoNotOptimize(message);
            ++messages;
        }
    }
    return messages;
}

std::string recorded_schema() {
    const auto text =
        read_file(std::string(test::fixtures_dir) + "/recorded/qemu-10.0/query-qmp-schema.qmp")
            .value_or("");
    const auto at = text.find("\n< ");
    if (at == std::string::npos)
        throw std::runtime_error("there is no recorded query-qmp-schema");
    return text.substr(at + 3, text.find('\n', at + 3) - at - 2);
}

void schema(benchmark::State& state) {
    const auto reply = recorded_schema();
    FrameSplitter splitter;
    for (auto _ : state)
        if (parse_all(splitter, reply) != 1)
            throw std::runtime_error("the schema is not one message");
    state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(reply.size()));
}

void events(benchmark::State& state) {
    const auto count = static_cast<std::size_t>(state.range(0));
    std::string stream;
    for (std::size_t i = 0; i < count; ++i)
        stream += "{\"timestamp\": {\"seconds\": 1600000000, \"microseconds\": 123456}, \"event\": "
                  "\"DEVICE_DELETED\", \"data\": {\"device\": \"vfio-83b8f4f2\", \"path\": "
                  "\"/machine/peripheral/vfio-83b8f4f2\"}}\r\n";
    FrameSplitter splitter;
    for (auto _ : state)
        if (parse_all(splitter, stream) != count)
            throw std::runtime_error("events went missing");
    state.SetItemsProcessed(state.iterations() * state.range(0));
    state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(stream.size()));
}

BENCHMARK(schema)->Name("parse/query_qmp_schema");
BENCHMARK(events)->Name("parse/device_deleted")->Arg(1'000'000)->Unit(benchmark::kMillisecond);

} // namespace
