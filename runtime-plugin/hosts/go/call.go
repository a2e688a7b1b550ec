// SPDX-License-Identifier: Apache-2.0

package katavfio

/*
#include <stdlib.h>
#include "bridge.h"
*/
import "C"

import (
	"context"
	"runtime/cgo"
	"unsafe"
)

// str is a string in C's memory, so that a struct with it may be handed to C.
type str struct{ C C.kata_vfio_str_t }

func newStr(text string) str {
	return str{C.kata_vfio_str_t{ptr: C.CString(text), len: C.size_t(len(text))}}
}

func (s str) free() { C.free(unsafe.Pointer(s.C.ptr)) }

func goStr(text C.kata_vfio_str_t) string { return C.GoStringN(text.ptr, C.int(text.len)) }

func (p *Plugin) failure(status C.kata_vfio_status_t, message string) *Error {
	name := C.GoString(C.bridge_status_name(p.entry, status))
	return &Error{Status: int32(status), Name: name, Message: message}
}

// outcome is what a call's callback copies of its result.
type outcome struct {
	status                                  C.kata_vfio_status_t
	message, problem, said, blocker, remedy string
	sandbox                                 *C.kata_vfio_sandbox_t
	attachments                             []Attachment
	json                                    string
}

// call begins a call, which gets the handle for its callback, and waits for its end. A context that
// ends first cancels it; the call then ends as the plugin says, undone or past undoing.
func (p *Plugin) call(ctx context.Context,
	submit func(C.uintptr_t, *C.uint64_t) C.kata_vfio_status_t) (outcome, error) {
	if err := ctx.Err(); err != nil {
		return outcome{}, err
	}
	p.gate.RLock()
	defer p.gate.RUnlock()
	if p.handle == nil {
		return outcome{}, ErrClosed
	}
	finished := make(chan outcome, 1) // the callback must not wait for us
	handle := cgo.NewHandle(finished)
	defer handle.Delete()
	var ticket C.uint64_t
	if status := submit(C.uintptr_t(handle), &ticket); status != C.KATA_VFIO_OK {
		return outcome{}, p.failure(status, "")
	}
	var end outcome
	select {
	case end = <-finished:
	case <-ctx.Done():
		C.bridge_cancel(p.entry, p.handle, ticket)
		end = <-finished
	}
	if end.status == C.KATA_VFIO_OK {
		return end, nil
	}
	err := p.failure(end.status, end.message)
	err.Problem, err.Said, err.Blocker, err.Remedy = end.problem, end.said, end.blocker, end.remedy
	return outcome{}, err
}

//export katavfioFinished
func katavfioFinished(handle C.uintptr_t, result *C.kata_vfio_result_t) {
	end := outcome{
		status: result.status, message: goStr(result.message), problem: goStr(result.problem),
		said: goStr(result.said), blocker: goStr(result.blocker), remedy: goStr(result.remedy),
		sandbox: result.sandbox, json: goStr(result.json),
	}
	if result.attachment_count > 0 {
		for _, one := range unsafe.Slice(result.attachments, int(result.attachment_count)) {
			end.attachments = append(end.attachments, Attachment{
				Device: goStr(one.device), ID: goStr(one.id), HostAddress: goStr(one.host_address),
				UUID: goStr(one.uuid), GuestAddress: goStr(one.guest_address),
				IOMMUGroup: int(one.iommu_group),
			})
		}
	}
	cgo.Handle(handle).Value().(chan outcome) <- end
}

//export katavfioLog
func katavfioLog(handle C.uintptr_t, level C.int32_t, line *C.char, length C.size_t) {
	cgo.Handle(handle).Value().(func(int, string))(int(level), C.GoStringN(line, C.int(length)))
}
