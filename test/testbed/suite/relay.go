// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"io"
	"net"
	"os"
)

// relayCommand makes the program of a package's tests a relay, see relay.
const relayCommand = "relay"

// PortForward returns the command of a member whose port-forwards are to reach what the
// tests serve on a Unix socket: the tests' own program, which Main has relay. A socket
// is reached from a member in a network of its own as well.
func PortForward(socket string) ([]string, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return []string{program, relayCommand, socket}, nil
}

// isRelay says whether the arguments of the program are those of PortForward.
func isRelay(args []string) bool { return len(args) == 3 && args[1] == relayCommand }

// relay carries what comes on its input to a socket and what comes from there to its
// output.
func relay(socket string) error {
	conn, err := net.Dial("unix", socket) //nolint:noctx // the process ends with the connection
	if err != nil {
		return err
	}
	go func() {
		_, _ = io.Copy(conn, os.Stdin)
		_ = conn.(*net.UnixConn).CloseWrite()
	}()
	_, err = io.Copy(os.Stdout, conn)
	return err
}
