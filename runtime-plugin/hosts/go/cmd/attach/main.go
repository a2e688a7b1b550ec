// SPDX-License-Identifier: Apache-2.0

// Command attach is a complete host in Go: it loads libkata_vfio.so, opens a sandbox, attaches one
// device, prints its guest address, lists, detaches, releases.
//
//	attach LIBRARY CONFIG ID QMP_SOCKET DEVICE [HOST_ROOT]
//
// Exit status: 0, or the hundred of the failure's status (docs/errors.md). Ctrl-C cancels what runs,
// which undoes it.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"katavfio"
)

func useSandbox(ctx context.Context, plugin *katavfio.Plugin, sandbox *katavfio.Sandbox, id, device string) error {
	defer sandbox.Close()
	attachments, err := sandbox.Attach(ctx, device)
	if err != nil {
		return err
	}
	for _, attachment := range attachments {
		fmt.Println(attachment.GuestAddress)
	}
	listed, err := plugin.List(ctx, id)
	if err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "attached:", len(listed))
	_, err = sandbox.Detach(ctx, device)
	return err
}

func attach(ctx context.Context, args []string) error {
	options := katavfio.Options{Library: args[0], Config: args[1], Log: func(level int, line string) {
		fmt.Fprintf(os.Stderr, "[%d] %s\n", level, line)
	}}
	if len(args) == 6 {
		options.HostRoot = args[5]
	}
	plugin, err := katavfio.Open(options)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return err
	}
	defer plugin.Close()
	opening := katavfio.SandboxOptions{ID: args[2], QMPSocket: args[3]}
	if options.HostRoot == "" {
		// Should this process die, reconcile gives back what it had.
		opening.OwnerPID = os.Getpid()
	}
	sandbox, err := plugin.OpenSandbox(ctx, opening)
	if err != nil { // it may be somebody else's: it is not released
		fmt.Fprintln(os.Stderr, err)
		return err
	}
	used := useSandbox(ctx, plugin, sandbox, args[2], args[4])
	if used != nil {
		fmt.Fprintln(os.Stderr, used)
	}
	// Not under ctx: what was begun is given back after Ctrl-C too.
	released := plugin.Release(context.Background(), args[2])
	if used != nil {
		return used
	}
	if released != nil {
		fmt.Fprintln(os.Stderr, "release:", released)
	}
	return released
}

func main() {
	if len(os.Args) != 6 && len(os.Args) != 7 {
		fmt.Fprintf(os.Stderr, "usage: %s LIBRARY CONFIG ID QMP_SOCKET DEVICE [HOST_ROOT]\n", os.Args[0])
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := attach(ctx, os.Args[1:]); err != nil {
		var failure *katavfio.Error
		if errors.As(err, &failure) {
			os.Exit(failure.Kind())
		}
		os.Exit(1)
	}
}
