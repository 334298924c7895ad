// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/pflag"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

const (
	// etcdStartTimeout bounds how long a start waits for etcd, embedded or not.
	// Replaying a large write-ahead log is the slow case.
	etcdStartTimeout = 2 * time.Minute
	// maxUnixPath is the longest socket path Linux takes (sun_path less its NUL).
	maxUnixPath = 107
)

// EmbeddedEtcdOptions configure the etcd that runs inside the server.
type EmbeddedEtcdOptions struct {
	// QuotaBackendBytes is the size at which etcd stops taking writes.
	QuotaBackendBytes int64
	// UnsafeNoFsync skips fsync: for tests, where speed matters and power cuts do not.
	UnsafeNoFsync bool

	dir string
}

func newEmbeddedEtcdOptions() EmbeddedEtcdOptions {
	return EmbeddedEtcdOptions{QuotaBackendBytes: 8 << 30}
}

func (o *EmbeddedEtcdOptions) addFlags(fs *pflag.FlagSet) {
	fs.Int64Var(&o.QuotaBackendBytes, "embedded-etcd-quota-backend-bytes", o.QuotaBackendBytes,
		"Size in bytes at which the embedded etcd stops taking writes. Used when --etcd-servers is empty.")
	fs.BoolVar(&o.UnsafeNoFsync, "embedded-etcd-unsafe-no-fsync", o.UnsafeNoFsync,
		"Do not wait for the disk. A power cut loses acknowledged writes; for tests only.")
}

func (o *EmbeddedEtcdOptions) validate() []error {
	if o.QuotaBackendBytes < 16<<20 {
		return []error{fmt.Errorf("--embedded-etcd-quota-backend-bytes must be at least 16777216 (16 MiB), got %d", o.QuotaBackendBytes)}
	}
	return nil
}

// endpoint is a unix socket inside the data directory, so that the directory's
// mode decides who can reach etcd.
func (o *EmbeddedEtcdOptions) endpoint() (string, error) {
	dir, err := filepath.Abs(o.dir)
	if err != nil {
		return "", fmt.Errorf("resolve data directory: %w", err)
	}
	path := filepath.Join(dir, "client.sock")
	if len(path) > maxUnixPath {
		return "", fmt.Errorf("use data directory %q (--data-dir): its path is %d characters too long for a unix socket; choose a shorter one",
			filepath.Dir(dir), len(path)-maxUnixPath)
	}
	return "unix://" + path, nil
}

// startEtcd runs etcd until the returned server is closed and waits until it
// takes writes.
func startEtcd(ctx context.Context, o EmbeddedEtcdOptions) (*embed.Etcd, error) {
	cfg, err := etcdConfig(o)
	if err != nil {
		return nil, err
	}
	server, err := embed.StartEtcd(cfg)
	if err != nil {
		return nil, fmt.Errorf("start embedded etcd in %q: %w", o.dir, err)
	}
	ctx, cancel := context.WithTimeout(ctx, etcdStartTimeout)
	defer cancel()
	select {
	case <-server.Server.ReadyNotify():
		return server, nil
	case err = <-server.Err():
	case <-server.Server.StopNotify():
		err = errors.New("it stopped by itself")
	case <-ctx.Done():
		err = fmt.Errorf("it was not ready: %w", context.Cause(ctx))
	}
	server.Close()
	return nil, fmt.Errorf("start embedded etcd in %q: %w", o.dir, err)
}

func etcdConfig(o EmbeddedEtcdOptions) (*embed.Config, error) {
	endpoint, err := o.endpoint()
	if err != nil {
		return nil, err
	}
	client, err := url.Parse(endpoint)
	if err != nil {
		return nil, fmt.Errorf("parse etcd endpoint: %w", err)
	}
	if err := os.MkdirAll(o.dir, 0o700); err != nil {
		return nil, fmt.Errorf("create etcd directory: %w", err)
	}
	// A socket left by a killed process keeps etcd from listening; the data
	// directory's lock proves that nobody is behind it.
	if err := os.Remove(client.Path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("remove stale etcd socket: %w", err)
	}
	cfg := embed.NewConfig()
	cfg.Dir = o.dir
	cfg.Name = "fleet"
	cfg.ListenClientUrls = []url.URL{*client}
	// etcd refuses to advertise a path; nobody asks it for its address.
	cfg.AdvertiseClientUrls = []url.URL{{Scheme: "unix", Host: "embedded:0"}}
	cfg.ListenPeerUrls = nil // one member only: nobody to talk to
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
	cfg.QuotaBackendBytes = o.QuotaBackendBytes
	cfg.UnsafeNoFsync = o.UnsafeNoFsync
	cfg.MaxRequestBytes = 3 << 20 // room for a full object of 1.5 MiB in one transaction with its precondition
	cfg.WatchProgressNotifyInterval = 5 * time.Second
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(etcdLogger())
	return cfg, nil
}

// etcdLogger keeps etcd's warnings and errors, on stderr like every other log line.
func etcdLogger() *zap.Logger {
	encoder := zapcore.NewConsoleEncoder(zap.NewProductionEncoderConfig())
	core := zapcore.NewCore(encoder, zapcore.Lock(os.Stderr), zapcore.ErrorLevel)
	return zap.New(withoutClosing{core}).Named("etcd")
}

// withoutClosing drops what etcd logs as errors whenever it is closed.
type withoutClosing struct{ zapcore.Core }

// Check implements zapcore.Core.
func (c withoutClosing) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if entry.Message == "setting up serving from embedded etcd failed." {
		return checked
	}
	return c.Core.Check(entry, checked)
}

// With implements zapcore.Core.
func (c withoutClosing) With(fields []zapcore.Field) zapcore.Core {
	return withoutClosing{c.Core.With(fields)}
}
