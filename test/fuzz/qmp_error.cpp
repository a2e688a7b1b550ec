// SPDX-License-Identifier: Apache-2.0
// The error classifier, on any command, class and text (line 1, line 2, the rest): QEMU's words
// stay as they are, and only class DeviceNotFound may mean "the device is gone", since that ends an
// unplug.
#include "qemu/qmp/error.hpp"
#include "test/fuzz/fuzz.hpp"

using namespace kata_vfio::qemu;

namespace kata_vfio::fuzz {

void one(std::string_view bytes) {
    const auto command = take_line(bytes), error_class = take_line(bytes);
    const auto meaning = classify(command, error_class, bytes);
    if (meaning.refusal == Refusal::device_not_found)
        require(error_class == "DeviceNotFound", "only DeviceNotFound means gone");
    require(meaning.code != Errc::ok && meaning.code != Errc::internal, "an error is an error");

    const QmpFailure failure{std::string(command), std::string(error_class), std::string(bytes)};
    require(failure.verbatim() == bytes, "QEMU's words are not edited");
    require(failure.code() == meaning.code && failure.refusal() == meaning.refusal &&
                failure.advice() == meaning.remedy,
            "the failure says what the classifier found");
}

} // namespace kata_vfio::fuzz
