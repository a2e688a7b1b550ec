// SPDX-License-Identifier: Apache-2.0
#include "config/base/failure.hpp"

#include <cerrno>

namespace kata_vfio {

Failure::Failure(Errc code, std::string problem) : code_(code), problem_(std::move(problem)) {
    render();
}

Failure& Failure::said(std::string words) {
    said_ = std::move(words);
    render();
    return *this;
}

Failure& Failure::sys(int number) {
    errno_ = number;
    return said(std::generic_category().message(number));
}

Failure& Failure::blocked_by(std::string who) {
    blocker_ = std::move(who);
    render();
    return *this;
}

Failure& Failure::remedy(std::string what) {
    remedy_ = std::move(what);
    render();
    return *this;
}

Failure& Failure::during(const std::string& action) {
    action_ = action_.empty() ? action : action + ": " + action_;
    render();
    return *this;
}

void Failure::render() {
    text_.clear();
    if (!action_.empty())
        text_ += action_ + ": ";
    text_ += problem_;
    if (!said_.empty())
        text_ += ": " + said_;
    if (!blocker_.empty())
        text_ += " (blocked by " + blocker_ + ")";
    if (!remedy_.empty())
        text_ += "; " + remedy_;
}

Errc code_of(const std::exception_ptr& error) noexcept {
    if (!error)
        return Errc::ok;
    try {
        std::rethrow_exception(error);
    } catch (const Failure& failure) {
        return failure.code();
    } catch (...) {
        return Errc::internal;
    }
}

Failure host_failure(int number, std::string problem) {
    const bool denied = number == EACCES || number == EPERM;
    Failure failure(denied ? Errc::permission_denied : Errc::host_io, std::move(problem));
    failure.sys(number);
    if (denied)
        failure.remedy("run as root, or give this process the right to that file");
    return failure;
}

} // namespace kata_vfio
