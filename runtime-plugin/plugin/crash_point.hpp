// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <string_view>

namespace kata_vfio::plugin {

/// Places between the steps of an operation at which a test can have the process die, QEMU die, or
/// a write fail (docs/lifecycle.md says what is found there afterwards). Compiled in with the CMake
/// option KATA_VFIO_CRASH_POINTS alone, which the presets for work and the sanitizers set; without
/// it each of them is nothing.
///
/// X(name): in the order in which an operation comes by. A name that ends in _write is a write of
/// the state directory that can be told to fail.
#define KATA_VFIO_CRASH_POINT_LIST(X)                                                              \
    X(open_connected)                                                                              \
    X(open_locked)                                                                                 \
    X(open_recorded)                                                                               \
    X(open_recovered)                                                                              \
    X(own_prepared)                                                                                \
    X(own_plugged)                                                                                 \
    X(attach_resolved)                                                                             \
    X(journal_begin_write)                                                                         \
    X(journal_begun)                                                                               \
    X(journal_intent_write)                                                                        \
    X(attach_claims_intended)                                                                      \
    X(claims_write)                                                                                \
    X(claims_one_taken)                                                                            \
    X(attach_claims_taken)                                                                         \
    X(attach_create_intended)                                                                      \
    X(attach_created)                                                                              \
    X(sriov_record_write)                                                                          \
    X(sriov_enabled)                                                                               \
    X(attach_bind_intended)                                                                        \
    X(attach_bound)                                                                                \
    X(attach_chown_intended)                                                                       \
    X(attach_chowned)                                                                              \
    X(journal_done_write)                                                                          \
    X(attach_plug_intended)                                                                        \
    X(state_write)                                                                                 \
    X(state_prepared)                                                                              \
    X(attach_plugged)                                                                              \
    X(state_commit_write)                                                                          \
    X(state_committed)                                                                             \
    X(state_sync_write)                                                                            \
    X(attach_recorded)                                                                             \
    X(journal_clear_write)                                                                         \
    X(journal_cleared)                                                                             \
    X(journal_withdraw_write)                                                                      \
    X(undo_unplugged)                                                                              \
    X(undo_owner_restored)                                                                         \
    X(undo_vgpu_removed)                                                                           \
    X(undo_driver_restored)                                                                        \
    X(undo_claim_dropped)                                                                          \
    X(sriov_disabled)                                                                              \
    X(undo_done)                                                                                   \
    X(detach_unplugged)                                                                            \
    X(detach_unplug_recorded)                                                                      \
    X(give_back_owner_restored)                                                                    \
    X(give_back_vgpu_removed)                                                                      \
    X(give_back_driver_restored)                                                                   \
    X(give_back_claim_dropped)                                                                     \
    X(detach_recorded)                                                                             \
    X(release_all_given_back)                                                                      \
    X(remove_renamed)                                                                              \
    X(release_removed)                                                                             \
    X(reconcile_looked)                                                                            \
    X(reconcile_begun)                                                                             \
    X(reconcile_recovered)                                                                         \
    X(reconcile_sandbox_done)                                                                      \
    X(quarantine_moved)                                                                            \
    X(reconcile_claim_dropped)

enum class CrashPoint {
#define X(name) name,
    KATA_VFIO_CRASH_POINT_LIST(X)
#undef X
};

inline constexpr auto crash_point_names = std::to_array<std::string_view>({
#define X(name) #name,
    KATA_VFIO_CRASH_POINT_LIST(X)
#undef X
});

#ifdef KATA_VFIO_CRASH_POINTS
/// What the environment asks for, read at the first point of the process:
///
///     KATA_VFIO_CRASH_AT=NAME        SIGKILL of this process there
///     KATA_VFIO_CRASH_AT=NAME:ERRNO  a *_write fails with that errno, this time and ever after
///     KATA_VFIO_CRASH_AT=NAME:FD     elsewhere: once, a byte is written to FD and one read from
///                                    it, so that the test can do something before it goes on
///     KATA_VFIO_CRASH_SKIP=N         not at the first N passes
///     KATA_VFIO_CRASH_TRACE=FD       every point passed is written there, a line each
void crash_point(CrashPoint point);
/// The errno to fail with, 0 for none. Dies there as well when told so.
int write_fault(CrashPoint point);
#else
inline void crash_point(CrashPoint) {}
inline int write_fault(CrashPoint) {
    return 0;
}
#endif

} // namespace kata_vfio::plugin
