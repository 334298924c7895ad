// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/client/pkg/v3/transport"
	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
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

// etcdVersion asks one server, once: etcd's own client would try again until the
// deadline and then say no more than that it passed.
func etcdVersion(ctx context.Context, endpoint string, tlsConfig *tls.Config) (string, error) {
	server := parseEndpoint(endpoint)
	security := insecure.NewCredentials()
	if server.secure {
		security = credentials.NewTLS(tlsConfig)
	}
	if err := server.greet(ctx, security); err != nil {
		return "", err
	}
	conn, err := grpc.NewClient(server.target(), grpc.WithTransportCredentials(security))
	if err != nil {
		return "", err
	}
	defer conn.Close() //nolint:errcheck // nothing was written
	answer, err := etcdserverpb.NewMaintenanceClient(conn).Status(ctx, &etcdserverpb.StatusRequest{}, grpc.WaitForReady(false))
	if err != nil {
		return "", errors.New(status.Convert(err).Message())
	}
	return answer.Version, nil
}

// etcdServer is where a server of etcd listens.
type etcdServer struct {
	network, address string
	secure           bool
}

// parseEndpoint reads an endpoint as etcd's client does: a URL, or host:port.
func parseEndpoint(endpoint string) etcdServer {
	parsed, err := url.Parse(endpoint)
	switch {
	case err != nil || parsed.Host == "" && parsed.Path == "":
		return etcdServer{network: "tcp", address: endpoint}
	case parsed.Scheme == "unix" || parsed.Scheme == "unixs":
		return etcdServer{network: "unix", address: parsed.Host + parsed.Path, secure: parsed.Scheme == "unixs"}
	default:
		return etcdServer{network: "tcp", address: parsed.Host, secure: parsed.Scheme == "https"}
	}
}

// target is the address as gRPC wants it.
func (s etcdServer) target() string {
	if s.network == "unix" {
		return "unix:" + s.address
	}
	return "passthrough:///" + s.address
}

// greet opens a connection, exchanges the first frames of HTTP/2 and closes it.
// What is wrong with the address or with a certificate it says in one line, where
// gRPC would log several. A server that refuses the client's certificate says so
// only after its part of the handshake: what it said is read even if it hung up
// before anything could be written to it.
func (s etcdServer) greet(ctx context.Context, security credentials.TransportCredentials) error {
	raw, err := (&net.Dialer{}).DialContext(ctx, s.network, s.address)
	if err != nil {
		return err
	}
	defer raw.Close() //nolint:errcheck // nothing was asked
	conn, _, err := security.ClientHandshake(ctx, s.address, raw)
	if err != nil {
		return err
	}
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return err
		}
	}
	frames := http2.NewFramer(conn, conn)
	_, unwritten := io.WriteString(conn, http2.ClientPreface)
	if unwritten == nil {
		unwritten = frames.WriteSettings()
	}
	if _, err := frames.ReadFrame(); err != nil {
		if errors.Is(err, io.EOF) && unwritten != nil {
			return unwritten
		}
		return err
	}
	return nil
}

func etcdTLS(cfg storagebackend.TransportConfig) (*tls.Config, error) {
	if cfg.CertFile == "" && cfg.KeyFile == "" && cfg.TrustedCAFile == "" {
		return nil, nil
	}
	info := transport.TLSInfo{CertFile: cfg.CertFile, KeyFile: cfg.KeyFile, TrustedCAFile: cfg.TrustedCAFile}
	return info.ClientConfig()
}
