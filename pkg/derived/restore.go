// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package derived

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/storage"

	"fleet.dev/fleet/pkg/derived/ledger"
)

// restoreCheckPeriod is how often etcd is asked whether it was restored. Its
// watch does not tell: etcd's client opens it again by itself, at a revision that
// a restored etcd has yet to reach, and nothing comes until then.
const restoreCheckPeriod = 10 * time.Second

// errRestored is why everything is read again when etcd went back in time.
var errRestored = errors.New("etcd does not have the history it had: it was restored")

// mustReload says whether an error means that changes were missed.
func mustReload(err error) bool {
	return errors.Is(err, rpctypes.ErrCompacted) || errors.Is(err, errRestored)
}

// mark is how far an etcd was followed, and what its history is recognised by.
type mark struct {
	cluster  uint64 // id of the etcd cluster, 0 if unknown
	revision int64  // the last one taken in
	// written is a key written lately and the revision of that; no key if there
	// was none yet. An etcd that was restored, but has been written to since and
	// is further than before, has something else at that revision.
	written readAt
}

// otherCluster fails with errRestored when a response is of another cluster.
func (m *mark) otherCluster(header *etcdserverpb.ResponseHeader) error {
	if m.cluster != 0 && header.ClusterId != 0 && m.cluster != header.ClusterId {
		return fmt.Errorf("%w (cluster %x, was %x)", errRestored, header.ClusterId, m.cluster)
	}
	return nil
}

// checkNotRestored fails with errRestored when etcd does not have the history
// that was followed, and with another error when etcd does not answer.
func (e *Engine) checkNotRestored(ctx context.Context, followed mark) error {
	etcd := e.etcd
	header, err := currentHeader(ctx, etcd.client, etcd.prefix)
	if err != nil {
		return err
	}
	if err := followed.otherCluster(header); err != nil {
		return err
	}
	if header.Revision < followed.revision {
		return fmt.Errorf("%w (revision %d, was %d)", errRestored, header.Revision, followed.revision)
	}
	written := followed.written
	if written.key == "" {
		return nil
	}
	response, err := etcd.client.Get(ctx, written.key, clientv3.WithRev(written.revision), clientv3.WithKeysOnly())
	switch {
	case errors.Is(err, rpctypes.ErrCompacted):
		return nil // it can no longer be told
	case err != nil:
		return fmt.Errorf("read %q at revision %d: %w", written.key, written.revision, err)
	case len(response.Kvs) != 1 || response.Kvs[0].ModRevision != written.revision:
		return fmt.Errorf("%w (%q was written at revision %d)", errRestored, written.key, written.revision)
	}
	return nil
}

// suspectRestore has follow check at once.
func (e *Engine) suspectRestore() {
	select {
	case e.suspected <- struct{}{}:
	default: // it is about to
	}
}

// worksCache is the Cacher of works, except that it lets no watch wait for a
// resource version that a restored etcd has yet to reach again: the watch would
// miss all before.
type worksCache struct {
	storage.Interface
	engine *Engine
}

// Watch implements storage.Interface.
func (c *worksCache) Watch(ctx context.Context, key string, opts storage.ListOptions) (watch.Interface, error) {
	after, err := c.Versioner().ParseResourceVersion(opts.ResourceVersion)
	if err == nil && c.engine.Ready() == nil {
		if err := c.engine.waitFor(ctx, after); storage.IsTooLargeResourceVersion(err) {
			served, _, _ := c.engine.ledger.State()
			return nil, ledger.Expired(after, served)
		}
	}
	return c.Interface.Watch(ctx, key, opts)
}
