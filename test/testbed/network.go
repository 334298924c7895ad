// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package testbed

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"fleet.dev/fleet/test/testbed/toolchain"
)

// network is the network namespace of a member that can only dial out, and what
// crosses its border. See command netns.
type network struct {
	// holder is the first process in the namespace, and keeps it.
	holder *Process
	// link carries the member's connections to the fleet.
	link *Process
	// door lets tests and people in.
	door *Process

	sockets string // directory
}

// maxSocketPath is how long the path of a Unix socket may be (unix(7)).
const maxSocketPath = 107

// newNetwork makes the handle of a member's network. Callers hold b.mu or own b.
func (b *Bed) newNetwork(l memberLayout) *network {
	n := &network{sockets: l.socketsDir()}
	program := filepath.Join(b.cfg.Bin, toolchain.Netns)
	name := l.config.Name
	toFleet := filepath.Join(n.sockets, "fleet.sock")
	hold := []string{"hold", fmt.Sprintf("-out=%d=%s", l.fleetPort, toFleet)}
	for _, port := range l.ports.listening() {
		hold = append(hold, fmt.Sprintf("-in=%s=%d", n.socket(port), port))
	}
	n.holder = b.process(name+"/network", program, hold)
	n.holder.ownNetwork = true
	n.link = b.process(name+"/link", program, []string{
		"forward", "-from=unix:" + toFleet, "-to=tcp:" + net.JoinHostPort(loopback, strconv.Itoa(l.fleetPort)),
	})
	n.door = b.process(name+"/door", program, []string{
		"forward", "-from=tcp:" + net.JoinHostPort(loopback, strconv.Itoa(l.ports.Door)), "-to=unix:" + n.socket(l.ports.APIServer),
	})
	return n
}

// socket is the way in to a port of the namespace.
func (n *network) socket(port int) string {
	return filepath.Join(n.sockets, strconv.Itoa(port)+".sock")
}

// processes are those that make the network, in start order.
func (n *network) processes() []*Process { return []*Process{n.holder, n.link, n.door} }

// start starts what does not run and waits until the border can be crossed.
func (n *network) start(ctx context.Context) error {
	if err := os.MkdirAll(n.sockets, 0o700); err != nil {
		return err
	}
	if longest := n.socket(lastPort); len(longest) > maxSocketPath {
		return fmt.Errorf("make socket %s: the path is longer than %d bytes, use a bed in a directory with a shorter one", longest, maxSocketPath)
	}
	for _, p := range n.processes() {
		if err := p.Start(ctx); err != nil {
			return err
		}
	}
	return n.holder.await(ctx, readyTimeout, func(ctx context.Context) error {
		// The holder listens on all sockets or ends.
		entries, err := filepath.Glob(filepath.Join(n.sockets, "*.sock"))
		if err != nil || len(entries) == 0 {
			return errors.Join(errors.New("it does not listen yet"), err)
		}
		return n.reach(ctx, entries)
	})
}

// reach dials sockets, but for what there is behind them.
func (n *network) reach(ctx context.Context, sockets []string) error {
	for _, socket := range sockets {
		c, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
		if err != nil {
			return err
		}
		if err := c.Close(); err != nil {
			return err
		}
	}
	return nil
}

// dial dials a port of the namespace from outside, for clients of this program.
func (n *network) dial(ctx context.Context, _, address string) (net.Conn, error) {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return nil, err
	}
	return (&net.Dialer{}).DialContext(ctx, "unix", n.socket(number))
}

// Link is the one way by which a member that can only dial out reaches its fleet.
// Methods are safe for concurrent use.
type Link struct {
	forwarder *Process
}

// Cut loses all that is sent in either direction, until Heal: what is open stalls,
// what is dialled hangs, nothing is refused and nothing is reset.
func (l *Link) Cut() error { return l.forwarder.Pause() }

// Heal undoes Cut. What was sent meanwhile arrives, as TCP would have it.
func (l *Link) Heal() error { return l.forwarder.Resume() }

// Reset breaks all connections. New ones can be made at once.
func (l *Link) Reset(ctx context.Context) error { return l.forwarder.Restart(ctx) }

// Command is a program as if it ran in the member, until ctx ends: in the member's network
// if it has one of its own. It reaches the member's API server by InnerKubeconfig.
func (m *Member) Command(ctx context.Context, program string, args ...string) *exec.Cmd {
	if m.network != nil {
		program, args = nsenter, enter(m.network.holder, &Process{path: program, args: args})
	}
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// mayUnshare tells whether this process may make network namespaces as it is;
// others make a user namespace to make one in.
func mayUnshare() bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return false
	}
	return data[0].Effective&(1<<unix.CAP_SYS_ADMIN) != 0
}

// enter is the command line that runs a program in the network namespace of the
// holder, and in its user namespace if it has one.
func enter(holder *Process, p *Process) []string {
	pid := strconv.Itoa(holder.PID())
	args := []string{"--net=/proc/" + pid + "/ns/net"}
	if !mayUnshare() {
		args = append(args, "--user=/proc/"+pid+"/ns/user", "--preserve-credentials")
	}
	args = append(args, "--", holder.path, "exec")
	if !p.detached {
		args = append(args, "-parent="+strconv.Itoa(os.Getpid()))
	}
	return append(append(args, "--", p.path), p.args...)
}
