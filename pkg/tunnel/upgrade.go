// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/klog/v2"

	"fleet.dev/fleet/pkg/apis/wellknown"
)

// upgradeTimeout bounds the write of the answer to an upgrade.
const upgradeTimeout = 10 * time.Second

// ServeUpgrade makes the connection of a request the tunnel of a cluster and
// returns when the tunnel ended, with nil. An error says why there is none; the
// caller answers the request with it.
func (r *Registry) ServeUpgrade(w http.ResponseWriter, req *http.Request, peer Peer) error {
	conn, buffered, err := hijack(w, req)
	if err != nil {
		handshakes.WithLabelValues(resultFailed).Inc()
		return err
	}
	// From here on nobody is left to be told.
	logger := klog.FromContext(req.Context())
	if err := r.confirm(conn, buffered); err != nil {
		handshakes.WithLabelValues(resultFailed).Inc()
		logger.V(2).Info("Tunnel not opened", "cluster", peer.Cluster, "reason", errors.Join(err, conn.Close()).Error())
		return nil
	}
	handshakes.WithLabelValues(resultAccepted).Inc()
	_ = r.Serve(req.Context(), conn, peer) // logged there
	return nil
}

// hijack takes the connection of a request that asks for a tunnel.
func hijack(w http.ResponseWriter, req *http.Request) (net.Conn, *bufio.ReadWriter, error) {
	if protocol := req.Header.Get("Upgrade"); !strings.EqualFold(protocol, wellknown.TunnelProtocol) {
		return nil, nil, apierrors.NewBadRequest(fmt.Sprintf("a tunnel is opened with the header Upgrade: %s, got %q", wellknown.TunnelProtocol, protocol))
	}
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if errors.Is(err, http.ErrNotSupported) {
		return nil, nil, apierrors.NewBadRequest(fmt.Sprintf("a tunnel is opened with HTTP/1.1, got %s", req.Proto))
	}
	if err != nil {
		return nil, nil, apierrors.NewInternalError(fmt.Errorf("take over the connection: %w", err))
	}
	return conn, buffered, nil
}

// confirm tells the agent that the connection is a tunnel from here on.
func (r *Registry) confirm(conn net.Conn, buffered *bufio.ReadWriter) error {
	if buffered.Reader.Buffered() > 0 {
		return fmt.Errorf("%w: it spoke before the upgrade was confirmed", ErrProtocol)
	}
	if err := conn.SetDeadline(r.clock.Now().Add(upgradeTimeout)); err != nil {
		return fmt.Errorf("confirm the upgrade: %w", err)
	}
	answer := "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: " + wellknown.TunnelProtocol + "\r\n\r\n"
	if _, err := conn.Write([]byte(answer)); err != nil {
		return fmt.Errorf("confirm the upgrade: %w", err)
	}
	if err := conn.SetDeadline(time.Time{}); err != nil {
		return fmt.Errorf("confirm the upgrade: %w", err)
	}
	return nil
}
