// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"context"
	"crypto/tls"
	"fmt"
	"strings"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/apiserver/pkg/storage/storagebackend"
)

// etcdProbeTimeout is how long an external etcd may take to answer at a start.
const etcdProbeTimeout = 10 * time.Second

// minEtcdVersion is the first release whose watch progress can be requested
// reliably, which consistent reads from the watch cache and derived works need
// (https://github.com/etcd-io/etcd/issues/15220).
var minEtcdVersion = version.MustParseSemantic("3.5.8")

// probeEtcd fails unless every server in transport answers and is new enough.
func probeEtcd(ctx context.Context, cfg storagebackend.TransportConfig) error {
	client, err := newEtcdClient(cfg)
	if err != nil {
		return fmt.Errorf("connect to etcd %s (--etcd-servers): %w", strings.Join(cfg.ServerList, ","), err)
	}
	defer client.Close() //nolint:errcheck // nothing was written
	ctx, cancel := context.WithTimeout(ctx, etcdProbeTimeout)
	defer cancel()
	for _, endpoint := range cfg.ServerList {
		status, err := client.Status(ctx, endpoint)
		if err != nil {
			return fmt.Errorf("reach etcd %s (--etcd-servers) within %s: %w", endpoint, etcdProbeTimeout, err)
		}
		have, err := version.ParseSemantic(status.Version)
		if err != nil {
			return fmt.Errorf("read version of etcd %s: %w", endpoint, err)
		}
		if have.LessThan(minEtcdVersion) {
			return fmt.Errorf("use etcd %s (--etcd-servers): it is version %s, at least %s is needed", endpoint, have, minEtcdVersion)
		}
	}
	return nil
}

func newEtcdClient(cfg storagebackend.TransportConfig) (*clientv3.Client, error) {
	tlsConfig, err := etcdTLS(cfg)
	if err != nil {
		return nil, err
	}
	return clientv3.New(clientv3.Config{
		Endpoints:   cfg.ServerList,
		DialTimeout: etcdProbeTimeout,
		TLS:         tlsConfig,
		Logger:      zap.NewNop(),
	})
}

func etcdTLS(cfg storagebackend.TransportConfig) (*tls.Config, error) {
	if cfg.CertFile == "" && cfg.KeyFile == "" && cfg.TrustedCAFile == "" {
		return nil, nil
	}
	info := transport.TLSInfo{CertFile: cfg.CertFile, KeyFile: cfg.KeyFile, TrustedCAFile: cfg.TrustedCAFile}
	return info.ClientConfig()
}
