// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package projection

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
)

// socketPair returns the two ends of a connection inside this process. Other than those
// of a net.Pipe they hold what was not read yet, so that two who end TLS at the same time
// do not wait for each other to read that, which is given up after five seconds.
func socketPair() (near, far net.Conn, err error) {
	ends, err := sockets()
	if err != nil {
		return nil, nil, fmt.Errorf("make a connection in the process: %w", err)
	}
	near, nearErr := connOf(ends[0])
	far, farErr := connOf(ends[1])
	if err := errors.Join(nearErr, farErr); err != nil {
		for _, conn := range []net.Conn{near, far} {
			if conn != nil {
				err = errors.Join(err, conn.Close())
			}
		}
		return nil, nil, fmt.Errorf("make a connection in the process: %w", err)
	}
	return near, far, nil
}

// sockets makes two connected sockets, which programs that are started do not get.
func sockets() ([2]int, error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	ends, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(ends[0])
		syscall.CloseOnExec(ends[1])
	}
	return ends, err
}

// connOf makes a connection of a socket, which is the connection's from then on.
func connOf(socket int) (net.Conn, error) {
	file := os.NewFile(uintptr(socket), "kubelets") //nolint:gosec // a file descriptor
	defer file.Close()                              //nolint:errcheck // the connection has a descriptor of its own
	return net.FileConn(file)
}
