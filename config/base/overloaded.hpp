// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace kata_vfio {

/// One callable of several, for std::visit.
template <class... F>
struct Overloaded : F... {
    using F::operator()...;
};
// clang 16 does not deduce an aggregate's arguments without it.
template <class... F>
Overloaded(F...) -> Overloaded<F...>;

} // namespace kata_vfio
