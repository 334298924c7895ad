// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// bringUpLoopback brings up the interface lo, which is down in a new namespace.
// Its address is given by the kernel.
func bringUpLoopback() error {
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open socket: %w", err)
	}
	defer func() { _ = unix.Close(socket) }()
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(socket, unix.SIOCSIFFLAGS, request); err != nil {
		return fmt.Errorf("bring up the loopback interface: %w", err)
	}
	return nil
}

// become is the exec command: this process becomes another program.
func become(_ context.Context, args []string) error {
	flags := flag.NewFlagSet("exec", flag.ContinueOnError)
	parent := flags.Int("parent", 0, "die with the process of this pid, which started this one")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() == 0 {
		return errors.New("exec: say which program")
	}
	path, err := exec.LookPath(flags.Arg(0))
	if err != nil {
		return err
	}
	// What prctl sets is this thread's, and exec keeps the thread that calls it.
	runtime.LockOSThread()
	if *parent != 0 {
		if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(syscall.SIGKILL), 0, 0, 0); err != nil {
			return fmt.Errorf("die with the parent process: %w", err)
		}
		if os.Getppid() != *parent {
			return errors.New("exec: the parent process has ended")
		}
	}
	return fmt.Errorf("exec %s: %w", path, syscall.Exec(path, flags.Args(), os.Environ()))
}
