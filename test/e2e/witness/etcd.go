// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package witness

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

const (
	// keyPrefix is what API servers store below.
	keyPrefix = "/registry/"
	// compactionKey is where API servers agree who compacts etcd, every 5 minutes
	// (k8s.io/apiserver/pkg/storage/etcd3/compact.go).
	compactionKey = "compact_rev_key"
)

// Etcd is a fleet's embedded etcd.
type Etcd struct {
	etcd *clientv3.Client
}

// DialEtcd connects to the embedded etcd of the fleet with a data directory.
func DialEtcd(dataDir string) (*Etcd, error) {
	socket, err := filepath.Abs(filepath.Join(dataDir, "etcd", "client.sock"))
	if err != nil {
		return nil, err
	}
	etcd, err := clientv3.New(clientv3.Config{Endpoints: []string{"unix://" + socket}, Logger: zap.NewNop()})
	if err != nil {
		return nil, fmt.Errorf("connect to etcd %s: %w", socket, err)
	}
	return &Etcd{etcd: etcd}, nil
}

// Close ends the connection and with it every Record.
func (e *Etcd) Close() error { return e.etcd.Close() }

// Revision is the current revision: the number of transactions that changed
// something, of any key.
func (e *Etcd) Revision(ctx context.Context) (int64, error) {
	response, err := e.etcd.Get(ctx, keyPrefix, clientv3.WithCountOnly())
	if err != nil {
		return 0, fmt.Errorf("read revision of etcd: %w", err)
	}
	return response.Header.Revision, nil
}

// Keys are the keys of objects that contain a text, sorted.
func (e *Etcd) Keys(ctx context.Context, text string) ([]string, error) {
	response, err := e.etcd.Get(ctx, keyPrefix, clientv3.WithPrefix(), clientv3.WithKeysOnly())
	if err != nil {
		return nil, fmt.Errorf("list keys of etcd: %w", err)
	}
	var out []string
	for _, kv := range response.Kvs {
		if key := string(kv.Key); strings.Contains(key, text) {
			out = append(out, key)
		}
	}
	return out, nil
}

// Change is one key changed at one revision.
type Change struct {
	Revision int64
	// Resource is the part of the key that says the kind, with the group where
	// the key has one: "deployments", "work.fleet.dev/resourcebindings".
	Resource string
	Key      string
	Deleted  bool
	Created  bool
}

// String is one line for people.
func (c Change) String() string {
	verb := "updated"
	switch {
	case c.Deleted:
		verb = "deleted"
	case c.Created:
		verb = "created"
	}
	return fmt.Sprintf("%d %s %s", c.Revision, verb, c.Key)
}

// Record remembers every change of any key from when it started.
type Record struct {
	cancel context.CancelFunc
	done   chan struct{}

	mu      sync.Mutex
	changes []Change
	err     error
}

// Record starts to record changes after the current revision. Stop ends it.
func (e *Etcd) Record(ctx context.Context) (*Record, error) {
	revision, err := e.Revision(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	r := &Record{cancel: cancel, done: make(chan struct{})}
	watch := e.etcd.Watch(ctx, "", clientv3.WithPrefix(), clientv3.WithRev(revision+1))
	go func() {
		defer close(r.done)
		for response := range watch {
			r.add(response.Events, response.Err())
		}
	}()
	return r, nil
}

func (r *Record) add(events []*clientv3.Event, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.err = err
	}
	for _, e := range events {
		key := string(e.Kv.Key)
		r.changes = append(r.changes, Change{
			Revision: e.Kv.ModRevision,
			Resource: resourceOf(key),
			Key:      key,
			Deleted:  e.Type == mvccpb.DELETE,
			Created:  e.IsCreate(),
		})
	}
}

// resourceOf reads the resource off a key. Groups that are not Kubernetes' own
// have a dot and precede their resource.
func resourceOf(key string) string {
	first, rest, _ := strings.Cut(strings.TrimPrefix(key, keyPrefix), "/")
	if !strings.Contains(first, ".") {
		return first
	}
	second, _, _ := strings.Cut(rest, "/")
	return first + "/" + second
}

// Changes are the changes so far that match, all when match is nil.
func (r *Record) Changes(match func(Change) bool) ([]Change, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return nil, fmt.Errorf("watch etcd: %w", r.err)
	}
	var out []Change
	for _, c := range r.changes {
		if match == nil || match(c) {
			out = append(out, c)
		}
	}
	return out, nil
}

// Stop ends the recording; what was recorded stays.
func (r *Record) Stop() {
	r.cancel()
	<-r.done
}

// NotHeartbeat matches changes of anything but leases, those with which API servers
// find their peers among them, and etcd's compaction, which come by the clock.
func NotHeartbeat(c Change) bool {
	return c.Resource != "leases" && c.Resource != "peerserverleases" && c.Key != compactionKey
}

// ByResource counts changes per resource.
func ByResource(changes []Change) map[string]int {
	out := map[string]int{}
	for _, c := range changes {
		out[c.Resource]++
	}
	return out
}

// ChangeLines joins changes for people, one per line.
func ChangeLines(changes []Change) string {
	var out strings.Builder
	for _, c := range changes {
		out.WriteString(c.String())
		out.WriteByte('\n')
	}
	return out.String()
}
