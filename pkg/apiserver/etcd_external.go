// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/klog/v2"
)

// etcdProbeTimeout is how long an external etcd may take to answer at a start.
// One that refuses is known to at once.
const etcdProbeTimeout = 10 * time.Second

// minEtcdVersion is the first release whose watch progress can be requested
// reliably, which consistent reads from the watch cache and derived works need
// (https://github.com/etcd-io/etcd/issues/15220).
var minEtcdVersion = version.MustParseSemantic("3.5.8")

// probeEtcd fails when no server in transport answers, or one that does is too
// old. A fleet must be able to start while a member of its etcd is down.
func probeEtcd(ctx context.Context, cfg storagebackend.TransportConfig) error {
	ctx, cancel := context.WithTimeout(ctx, etcdProbeTimeout)
	defer cancel()
	tlsConfig, err := etcdTLS(cfg)
	if err != nil {
		return fmt.Errorf("read certificates for etcd (--etcd-cafile, --etcd-certfile, --etcd-keyfile): %w", err)
	}
	versions, failures := make([]string, len(cfg.ServerList)), make([]error, len(cfg.ServerList))
	var probes sync.WaitGroup
	for i, endpoint := range cfg.ServerList {
		probes.Go(func() { versions[i], failures[i] = etcdVersion(ctx, endpoint, tlsConfig) })
	}
	probes.Wait()
	return judgeEtcd(klog.FromContext(ctx), cfg.ServerList, versions, failures)
}

// judgeEtcd decides about what the probes of the endpoints found: a version or a
// failure of each.
func judgeEtcd(logger klog.Logger, endpoints, versions []string, failures []error) error {
	var unreachable []string
	for i, endpoint := range endpoints {
		if failures[i] != nil {
			unreachable = append(unreachable, fmt.Sprintf("%s: %v", endpoint, failures[i]))
			continue
		}
		if err := checkEtcdVersion(versions[i]); err != nil {
			return fmt.Errorf("use etcd %s (--etcd-servers): %w", endpoint, err)
		}
	}
	if len(unreachable) == len(endpoints) {
		return fmt.Errorf("reach etcd (--etcd-servers) %s", strings.Join(unreachable, "; "))
	}
	if len(unreachable) > 0 {
		logger.Info("Some servers of etcd do not answer", "servers", unreachable)
	}
	return nil
}

// checkEtcdVersion accepts the versions that have what the fleet needs.
func checkEtcdVersion(text string) error {
	have, err := version.ParseSemantic(text)
	if err != nil {
		return fmt.Errorf("read its version: %w", err)
	}
	if have.LessThan(minEtcdVersion) {
		return fmt.Errorf("it is version %s, at least %s is needed", have, minEtcdVersion)
	}
	return nil
}

func etcdVersion(ctx context.Context, endpoint string, tlsConfig *tls.Config) (string, error) {
	if err := greet(ctx, endpoint, tlsConfig); err != nil {
		return "", err
	}
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, TLS: tlsConfig, Logger: zap.NewNop()})
	if err != nil {
		return "", err
	}
	defer client.Close() //nolint:errcheck // nothing was written
	status, err := client.Status(ctx, endpoint)
	if err != nil {
		return "", err
	}
	return status.Version, nil
}

// An HTTP/2 connection begins with these bytes, and is answered by a SETTINGS
// frame (RFC 9113, section 3.4).
const (
	http2Preface       = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + "\x00\x00\x00\x04\x00\x00\x00\x00\x00"
	http2FrameHeader   = 9
	http2FrameTypeByte = 3
	http2Settings      = 4
)

// etcdAlertTime is how long a server that refuses the client's certificate may
// take to say so after the handshake.
const etcdAlertTime = 300 * time.Millisecond

// greet opens a connection as gRPC does and waits for the server's first frame.
// gRPC itself would try again until the deadline and then say no more than that
// it passed; greet says what is wrong: refused, unknown host, certificate.
func greet(ctx context.Context, endpoint string, tlsConfig *tls.Config) error {
	network, address, secure := parseEndpoint(endpoint)
	conn, err := dialEtcd(ctx, network, address, secure, tlsConfig)
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // nothing was said
	reader := bufio.NewReader(conn)
	if secure {
		if err := awaitAlert(ctx, conn, reader); err != nil {
			return err
		}
	}
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return err
		}
	}
	if _, err := io.WriteString(conn, http2Preface); err != nil {
		return err
	}
	header := make([]byte, http2FrameHeader)
	if _, err := io.ReadFull(reader, header); err != nil {
		return err
	}
	if header[http2FrameTypeByte] != http2Settings {
		return errors.New("it does not speak gRPC")
	}
	return nil
}

// awaitAlert listens before anything is said: an alert would be lost if the
// server closed the connection on words it has not read. Silence is a good sign.
func awaitAlert(ctx context.Context, conn net.Conn, reader *bufio.Reader) error {
	ctx, cancel := context.WithTimeout(ctx, etcdAlertTime)
	defer cancel()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetReadDeadline(deadline); err != nil {
			return err
		}
	}
	if _, err := reader.Peek(1); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	return nil
}

func dialEtcd(ctx context.Context, network, address string, secure bool, tlsConfig *tls.Config) (net.Conn, error) {
	if !secure {
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if tlsConfig != nil {
		config = tlsConfig.Clone()
	}
	config.NextProtos = []string{"h2"}
	return (&tls.Dialer{Config: config}).DialContext(ctx, network, address)
}

// parseEndpoint reads an endpoint as etcd's client does: a URL, or host:port.
func parseEndpoint(endpoint string) (network, address string, secure bool) {
	parsed, err := url.Parse(endpoint)
	switch {
	case err != nil || parsed.Host == "" && parsed.Path == "":
		return "tcp", endpoint, false
	case parsed.Scheme == "unix" || parsed.Scheme == "unixs":
		return "unix", parsed.Host + parsed.Path, parsed.Scheme == "unixs"
	default:
		return "tcp", parsed.Host, parsed.Scheme == "https"
	}
}

func etcdTLS(cfg storagebackend.TransportConfig) (*tls.Config, error) {
	if cfg.CertFile == "" && cfg.KeyFile == "" && cfg.TrustedCAFile == "" {
		return nil, nil
	}
	info := transport.TLSInfo{CertFile: cfg.CertFile, KeyFile: cfg.KeyFile, TrustedCAFile: cfg.TrustedCAFile}
	return info.ClientConfig()
}
