// SPDX-License-Identifier: Apache-2.0

// Package katavfio is libkata_vfio.so for a host in Go: it hot-plugs vfio and mdev devices into the
// root bus of a sandbox's QEMU.
//
// A Plugin and its Sandboxes may be used from every goroutine, also at once. Calls wait; a context
// that ends cancels the call, which then undoes what it did before it returns. Attachments outlive
// Close, and the process: Release gives them back.
//
// No Go pointer is kept by the plugin, and nothing of the plugin's is kept by Go beyond a callback.
package katavfio

/*
#cgo CFLAGS: -I${SRCDIR}/../../abi
#cgo LDFLAGS: -ldl
#include <stdlib.h>
#include "bridge.h"
*/
import "C"

import (
	"context"
	"errors"
	"fmt"
	"runtime/cgo"
	"sync"
	"unsafe"
)

// Error is a call that failed. Status is one of KATA_VFIO_E_*, Name its stable name
// (docs/errors.md); the parts may be empty.
type Error struct {
	Status                         int32
	Name                           string
	Message                        string
	Problem, Said, Blocker, Remedy string
}

func (e *Error) Error() string {
	if e.Message == "" {
		return e.Name
	}
	return e.Name + ": " + e.Message
}

// Kind is the hundred of the status, which is what a host that does not know the number goes by:
// 2 the request, 3 policy, 4 the host or a device, 5 QEMU, 6 a time limit, 7 cancelled, 1 our fault.
func (e *Error) Kind() int { return int(e.Status / 100) }

// Attachment is one device in one sandbox.
type Attachment struct {
	Device       string // as it was asked for
	ID           string // QEMU's
	HostAddress  string // BDF of the function, or of the vGPU's parent
	UUID         string // of a vGPU
	GuestAddress string // "0000:00:0f.0"; empty while it waits for the guest's start
	IOMMUGroup   int    // -1: not known
}

// Options of Open.
type Options struct {
	Library  string // path of libkata_vfio.so; empty: "libkata_vfio.so.1", as the loader finds it
	Config   string // Kata's configuration.toml; empty: where Kata has it
	HostRoot string // for tests; empty: "/"
	// Log, if given, has each line of the plugin's log. It is called on a thread of the plugin: it
	// must return soon, and must not call into the package.
	Log func(level int, line string)
}

// ErrClosed is what a closed Plugin or Sandbox answers.
var ErrClosed = errors.New("katavfio: closed")

// Plugin is the library with its configuration read and its threads running.
type Plugin struct {
	entry  *C.kata_vfio_entry_t
	log    cgo.Handle
	gate   sync.RWMutex // held for reading by calls, for writing by Close
	handle *C.kata_vfio_plugin_t
}

// Open loads the library and starts the plugin. End it with Close.
func Open(options Options) (*Plugin, error) {
	if options.Library == "" {
		options.Library = "libkata_vfio.so.1"
	}
	path := C.CString(options.Library)
	defer C.free(unsafe.Pointer(path))
	var problem *C.char
	entry := C.bridge_load(path, &problem)
	if entry == nil {
		return nil, fmt.Errorf("katavfio: %s: %s", options.Library, C.GoString(problem))
	}
	config, root := newStr(options.Config), newStr(options.HostRoot)
	defer config.free()
	defer root.free()
	plugin := &Plugin{entry: entry, log: cgo.NewHandle(options.Log)}
	withLog := C.int(0)
	if options.Log != nil {
		withLog = 1
	}
	const room = 1024
	text := (*C.char)(C.calloc(1, room))
	defer C.free(unsafe.Pointer(text))
	status := C.bridge_open(entry, config.C, root.C, C.uintptr_t(plugin.log), withLog,
		&plugin.handle, text, room)
	if status != C.KATA_VFIO_OK {
		plugin.log.Delete()
		return nil, plugin.failure(status, C.GoString(text))
	}
	return plugin, nil
}

// Close waits for the calls under way (end their contexts first, if they are not to finish), and
// stops the plugin. Attachments stay. Sandboxes end with it. Must not be called from Options.Log.
func (p *Plugin) Close() {
	p.gate.Lock()
	defer p.gate.Unlock()
	if p.handle == nil {
		return
	}
	C.bridge_close(p.entry, p.handle)
	p.handle = nil
	p.log.Delete()
}

// SandboxOptions of OpenSandbox.
type SandboxOptions struct {
	ID          string
	QMPSocket   string            // empty: a sandbox that was opened before, as it is remembered
	Annotations map[string]string // the pod's
	OwnerPID    int               // the process that the sandbox belongs to; 0: none
}

// OpenSandbox enforces policy, connects to the sandbox's QEMU and remembers it. End the connection
// with Sandbox.Close, the sandbox itself with Release.
func (p *Plugin) OpenSandbox(ctx context.Context, options SandboxOptions) (*Sandbox, error) {
	id, socket := newStr(options.ID), newStr(options.QMPSocket)
	defer id.free()
	defer socket.free()
	count := len(options.Annotations)
	pairs := (*C.kata_vfio_pair_t)(C.calloc(C.size_t(count+1), C.sizeof_kata_vfio_pair_t))
	defer C.free(unsafe.Pointer(pairs))
	array := unsafe.Slice(pairs, count)
	i := 0
	for key, value := range options.Annotations {
		k, v := newStr(key), newStr(value)
		defer k.free()
		defer v.free()
		array[i].key, array[i].value = k.C, v.C
		i++
	}
	request := (*C.kata_vfio_sandbox_options_t)(C.calloc(1, C.sizeof_kata_vfio_sandbox_options_t))
	defer C.free(unsafe.Pointer(request))
	request.struct_size = C.sizeof_kata_vfio_sandbox_options_t
	request.id, request.qmp_socket = id.C, socket.C
	request.annotations, request.annotation_count = pairs, C.size_t(count)
	request.owner_pid = C.int64_t(options.OwnerPID)
	outcome, err := p.call(ctx, func(h C.uintptr_t, ticket *C.uint64_t) C.kata_vfio_status_t {
		return C.bridge_sandbox_open(p.entry, p.handle, request, h, ticket)
	})
	if err != nil {
		return nil, err
	}
	return &Sandbox{plugin: p, handle: outcome.sandbox}, nil
}

// Release gives back all that the sandbox has and forgets it. QEMU need not live.
func (p *Plugin) Release(ctx context.Context, id string) error {
	text := newStr(id)
	defer text.free()
	_, err := p.call(ctx, func(h C.uintptr_t, ticket *C.uint64_t) C.kata_vfio_status_t {
		return C.bridge_release(p.entry, p.handle, text.C, h, ticket)
	})
	return err
}

// List has what is attached to a sandbox, or to all when id is empty. It reads files only.
func (p *Plugin) List(ctx context.Context, id string) ([]Attachment, error) {
	text := newStr(id)
	defer text.free()
	outcome, err := p.call(ctx, func(h C.uintptr_t, ticket *C.uint64_t) C.kata_vfio_status_t {
		return C.bridge_list(p.entry, p.handle, text.C, h, ticket)
	})
	return outcome.attachments, err
}

// Reconcile puts right what processes that died have left, and returns the report (docs/json.md).
func (p *Plugin) Reconcile(ctx context.Context) (string, error) {
	outcome, err := p.call(ctx, func(h C.uintptr_t, ticket *C.uint64_t) C.kata_vfio_status_t {
		return C.bridge_reconcile(p.entry, p.handle, h, ticket)
	})
	return outcome.json, err
}

// Sandbox is an open sandbox.
type Sandbox struct {
	plugin *Plugin
	gate   sync.RWMutex
	handle *C.kata_vfio_sandbox_t
}

// Close lets the connection to QEMU go, after the calls that are under way. Attachments stay.
func (s *Sandbox) Close() {
	s.gate.Lock()
	defer s.gate.Unlock()
	s.plugin.gate.RLock()
	defer s.plugin.gate.RUnlock()
	if s.handle != nil && s.plugin.handle != nil { // the plugin's end is the sandbox's
		C.bridge_sandbox_close(s.plugin.entry, s.handle)
	}
	s.handle = nil
}

// Attach plugs a device: /dev/vfio/N, a BDF, a UUID, or TYPE[@PARENT] for a vGPU to be made. A group
// gives several attachments, all or none.
func (s *Sandbox) Attach(ctx context.Context, device string) ([]Attachment, error) {
	return s.plug(ctx, device, func(text C.kata_vfio_str_t, h C.uintptr_t, ticket *C.uint64_t) C.kata_vfio_status_t {
		return C.bridge_attach(s.plugin.entry, s.handle, text, h, ticket)
	})
}

// Detach unplugs a device, by any name it has, and gives back what Attach made or bound.
func (s *Sandbox) Detach(ctx context.Context, device string) ([]Attachment, error) {
	return s.plug(ctx, device, func(text C.kata_vfio_str_t, h C.uintptr_t, ticket *C.uint64_t) C.kata_vfio_status_t {
		return C.bridge_detach(s.plugin.entry, s.handle, text, h, ticket)
	})
}

func (s *Sandbox) plug(ctx context.Context, device string,
	submit func(C.kata_vfio_str_t, C.uintptr_t, *C.uint64_t) C.kata_vfio_status_t) ([]Attachment, error) {
	s.gate.RLock()
	defer s.gate.RUnlock()
	if s.handle == nil {
		return nil, ErrClosed
	}
	text := newStr(device)
	defer text.free()
	outcome, err := s.plugin.call(ctx, func(h C.uintptr_t, ticket *C.uint64_t) C.kata_vfio_status_t {
		return submit(text.C, h, ticket)
	})
	return outcome.attachments, err
}
