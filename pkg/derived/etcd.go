// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package derived

import (
	"context"
	"fmt"
	"net"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"k8s.io/apiserver/pkg/server/egressselector"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/client-go/util/workqueue"
)

const (
	// Those of k8s.io/apiserver/pkg/storage/storagebackend/factory.
	dialTimeout      = 20 * time.Second
	keepaliveTime    = 30 * time.Second
	keepaliveTimeout = 10 * time.Second

	// pageSize is how many objects are read from etcd at once.
	pageSize = 500
	// parallelReads is how many objects are read one by one at the same time.
	parallelReads = 16
)

// newClient connects to the etcd the bindings are in, as the API server does.
func newClient(config storagebackend.TransportConfig) (*clientv3.Client, error) {
	options := clientv3.Config{
		Endpoints:            config.ServerList,
		DialTimeout:          dialTimeout,
		DialKeepAliveTime:    keepaliveTime,
		DialKeepAliveTimeout: keepaliveTimeout,
		Logger:               zap.NewNop(), // what matters is returned
	}
	if config.CertFile != "" || config.KeyFile != "" || config.TrustedCAFile != "" {
		files := transport.TLSInfo{CertFile: config.CertFile, KeyFile: config.KeyFile, TrustedCAFile: config.TrustedCAFile}
		tlsConfig, err := files.ClientConfig()
		if err != nil {
			return nil, fmt.Errorf("load certificates for etcd: %w", err)
		}
		options.TLS = tlsConfig
	}
	if config.EgressLookup != nil {
		dialer, err := config.EgressLookup(egressselector.Etcd.AsNetworkContext())
		if err != nil {
			return nil, fmt.Errorf("find egress to etcd: %w", err)
		}
		if dialer != nil {
			options.DialOptions = append(options.DialOptions, grpc.WithContextDialer(
				func(ctx context.Context, address string) (net.Conn, error) { return dialer(ctx, "tcp", address) }))
		}
	}
	client, err := clientv3.New(options)
	if err != nil {
		return nil, fmt.Errorf("connect to etcd: %w", err)
	}
	return client, nil
}

// watchContext is the context of the watch and of progress requests. Both have
// to carry the same gRPC metadata, whatever the caller's, because etcd's client
// finds the stream of a watch by it.
func watchContext(ctx context.Context) context.Context {
	return clientv3.WithRequireLeader(metadata.NewOutgoingContext(ctx, metadata.MD{}))
}

// currentRevision is the revision of etcd now, by a linearizable read.
func currentRevision(ctx context.Context, kv clientv3.KV, prefix string) (int64, error) {
	header, err := currentHeader(ctx, kv, prefix)
	if err != nil {
		return 0, err
	}
	return header.Revision, nil
}

// currentHeader says which etcd this is and its revision now, by a linearizable
// read.
func currentHeader(ctx context.Context, kv clientv3.KV, prefix string) (*etcdserverpb.ResponseHeader, error) {
	response, err := kv.Get(ctx, prefix, clientv3.WithCountOnly())
	if err != nil {
		return nil, fmt.Errorf("read the current revision of etcd: %w", err)
	}
	return response.Header, nil
}

// readPrefix calls visit with everything under a prefix as of a revision.
func readPrefix(ctx context.Context, kv clientv3.KV, prefix string, revision int64, visit func(key string, value stored)) error {
	end := clientv3.GetPrefixRangeEnd(prefix)
	for from := prefix; ; {
		response, err := kv.Get(ctx, from, clientv3.WithRange(end), clientv3.WithRev(revision), clientv3.WithLimit(pageSize))
		if err != nil {
			return fmt.Errorf("read %q at revision %d: %w", prefix, revision, err)
		}
		for _, pair := range response.Kvs {
			visit(string(pair.Key), stored{value: pair.Value, revision: pair.ModRevision})
		}
		if !response.More || len(response.Kvs) == 0 {
			return nil
		}
		from = string(response.Kvs[len(response.Kvs)-1].Key) + "\x00"
	}
}

// readAt names a value: that of a key at a revision.
type readAt struct {
	key      string
	revision int64
}

// readKeys returns the values, in the order asked for. One that does not exist
// is the zero value.
func readKeys(ctx context.Context, kv clientv3.KV, reads []readAt) ([]stored, error) {
	values, failures := make([]stored, len(reads)), make([]error, len(reads))
	workqueue.ParallelizeUntil(ctx, parallelReads, len(reads), func(i int) {
		response, err := kv.Get(ctx, reads[i].key, clientv3.WithRev(reads[i].revision))
		if err != nil {
			failures[i] = fmt.Errorf("read %q at revision %d: %w", reads[i].key, reads[i].revision, err)
			return
		}
		for _, pair := range response.Kvs {
			values[i] = stored{value: pair.Value, revision: pair.ModRevision}
		}
	})
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	for _, err := range failures {
		if err != nil {
			return nil, err
		}
	}
	return values, nil
}
