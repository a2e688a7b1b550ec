// SPDX-License-Identifier: Apache-2.0
#include "mdev/uuid.hpp"

#include "config/base/failure.hpp"
#include "config/base/text.hpp"

#include <boost/uuid/random_generator.hpp>
#include <boost/uuid/uuid_io.hpp>

#include <algorithm>
#include <cctype>

namespace kata_vfio::mdev {
namespace {

char lower(char c) {
    return static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
}

} // namespace

Uuid Uuid::random() {
    // random_generator_pure reads getrandom() each time: a forked host must not repeat a UUID.
    static thread_local boost::uuids::random_generator_pure generator;
    return Uuid(boost::uuids::to_string(generator()));
}

bool Uuid::looks_like(std::string_view text) noexcept {
    if (text.size() != 36)
        return false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? text[i] != '-' : std::isxdigit(static_cast<unsigned char>(text[i])) == 0)
            return false;
    }
    return true;
}

Uuid Uuid::require(std::string_view text) {
    if (!looks_like(text))
        throw Failure(Errc::malformed_uuid, quoted(text) + " is not a UUID")
            .remedy("write 8-4-4-4-12 lower-case hex digits, as uuidgen prints them");
    std::string low(text);
    std::transform(low.begin(), low.end(), low.begin(), lower);
    if (low != text)
        throw Failure(Errc::malformed_uuid, quoted(text) + " is in upper case")
            .remedy("sysfs names the device " + low + ": use that");
    if (low.find_first_not_of("0-") == low.npos)
        throw Failure(Errc::malformed_uuid, quoted(text) + " is the nil UUID")
            .remedy("use a UUID of its own, as uuidgen prints one");
    return Uuid(std::move(low));
}

} // namespace kata_vfio::mdev
