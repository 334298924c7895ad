// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package testbed

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
)

// Ports are taken from below the kernel's range for outgoing connections (32768
// and up): a port of that range could be in use when a server that was killed
// starts again, and its kubeconfigs name the old port.
const (
	firstPort = 20000
	lastPort  = 31999
)

// loopback is the only address a bed listens on.
const loopback = "127.0.0.1"

// freePorts finds n distinct ports of the loopback address that nobody listens
// on and that are not taken. The search starts anywhere, so beds side by side
// rarely meet.
func freePorts(ctx context.Context, n int, taken []int) ([]int, error) {
	var out []int
	span := lastPort - firstPort + 1
	start := rand.IntN(span)
	for i := 0; i < span && len(out) < n; i++ {
		port := firstPort + (start+i)%span
		if !slices.Contains(taken, port) && free(ctx, port) {
			out = append(out, port)
		}
	}
	if len(out) < n {
		return nil, fmt.Errorf("find %d free ports between %d and %d on %s: only %d are free", n, firstPort, lastPort, loopback, len(out))
	}
	return out, nil
}

func free(ctx context.Context, port int) bool {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort(loopback, strconv.Itoa(port)))
	if err != nil {
		return false
	}
	return l.Close() == nil
}

func httpsURL(port int) string { return "https://" + net.JoinHostPort(loopback, strconv.Itoa(port)) }
func httpURL(port int) string  { return "http://" + net.JoinHostPort(loopback, strconv.Itoa(port)) }
