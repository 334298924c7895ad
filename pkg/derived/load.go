// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package derived

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
)

// manyKeys is from how many wanted templates of a resource on all of it is read
// page by page, rather than each template by itself.
const manyKeys = 64

// load reads all definitions, bindings and their templates as of one revision,
// renders them and replaces what is served. It returns the revision.
func (r *renderer) load(ctx context.Context) (int64, error) {
	logger := klog.FromContext(ctx)
	etcd := r.engine.etcd
	header, err := currentHeader(ctx, etcd.client, etcd.prefix)
	if err != nil {
		return 0, err
	}
	revision := header.Revision
	r.followed = mark{cluster: header.ClusterId, revision: revision}
	loadsTotal.Inc()
	if err := r.loadDefinitions(ctx, revision); err != nil {
		return 0, err
	}
	if err := r.loadBindings(ctx, revision); err != nil {
		return 0, err
	}
	if err := r.loadTemplates(ctx, revision); err != nil {
		return 0, err
	}
	entries := r.renderLoaded(ctx)
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	r.engine.ledger.Reset(resourceVersionAfter(revision), entries)
	count(nil, len(entries), len(r.state.bindings), revision)
	logger.V(2).Info("Loaded works", "works", len(entries), "bindings", len(r.state.bindings), "revision", revision)
	return revision, nil
}

func (r *renderer) loadDefinitions(ctx context.Context, revision int64) error {
	definitions := r.engine.capture.resource(definitionsResource)
	if definitions == nil {
		return nil
	}
	return readPrefix(ctx, r.engine.etcd.client, definitions.keyPrefix, revision, func(key string, value stored) {
		made, err := r.engine.capture.newDefinition(ctx, key, value.value)
		if err != nil {
			logDecodeError(ctx, "definition", key, err)
			return
		}
		// Without bindings no template is read.
		_ = r.state.putDefinition(key, made, nil)
	})
}

// loadBindings reads the bindings; their templates stay to be read. Decoding is
// most of the work and done in parallel.
func (r *renderer) loadBindings(ctx context.Context, revision int64) error {
	type keyed struct {
		key   string
		value stored
	}
	for _, groupResource := range []schema.GroupResource{bindingsResource, clusterBindingsResource} {
		resource := r.engine.capture.resource(groupResource)
		var found []keyed
		err := readPrefix(ctx, r.engine.etcd.client, resource.keyPrefix, revision, func(key string, value stored) {
			found = append(found, keyed{key: key, value: value})
		})
		if err != nil {
			return err
		}
		decoded := make([]decodedBinding, len(found))
		workqueue.ParallelizeUntil(ctx, parallelReads, len(found), func(i int) {
			decoded[i].object, decoded[i].err = decodeBinding(ctx, resource, found[i].key, found[i].value.value)
		})
		for i := range found {
			if decoded[i].object == nil {
				logDecodeError(ctx, "binding", found[i].key, decoded[i].err)
				continue
			}
			toBeRead := func(string) (stored, error) { return stored{}, nil }
			if err := r.state.putBinding(found[i].key, found[i].value.revision, decoded[i].object, toBeRead); err != nil {
				return err
			}
		}
	}
	return ctx.Err()
}

// loadTemplates reads the templates bindings refer to.
func (r *renderer) loadTemplates(ctx context.Context, revision int64) error {
	byPrefix := map[string][]*template{}
	for _, t := range r.state.templates {
		prefix := r.templatePrefix(t)
		byPrefix[prefix] = append(byPrefix[prefix], t)
	}
	kv := r.engine.etcd.client
	var reads []readAt
	var single []*template
	for prefix, wanted := range byPrefix {
		if len(wanted) < manyKeys {
			for _, t := range wanted {
				reads = append(reads, readAt{key: t.key, revision: revision})
				single = append(single, t)
			}
			continue
		}
		err := readPrefix(ctx, kv, prefix, revision, func(key string, value stored) {
			if t := r.state.templates[key]; t != nil {
				t.stored = value
			}
		})
		if err != nil {
			return err
		}
	}
	values, err := readKeys(ctx, kv, reads)
	if err != nil {
		return fmt.Errorf("load templates: %w", err)
	}
	for i, t := range single {
		t.stored = values[i]
	}
	return nil
}

// templatePrefix is the key prefix of the resource a template is of.
func (r *renderer) templatePrefix(t *template) string {
	for _, b := range t.bindings {
		kind := b.object.GetSpec().Resource.GroupKind()
		if native := r.engine.capture.kind(kind); native != nil {
			return native.keyPrefix
		}
		return r.state.definitionsByKind[kind].resource.keyPrefix
	}
	return ""
}

// renderLoaded renders everything. Works that fail have none before them to keep.
func (r *renderer) renderLoaded(ctx context.Context) []*entry {
	bindings := r.state.takeDirty()
	renderings := r.renderAll(ctx, bindings)
	var entries []*entry
	for i, b := range bindings {
		r.settle(ctx, b, renderings[i], b.lastRevision(), 0)
		renderings[i] = rendering{}
		entries = slices.AppendSeq(entries, maps.Values(b.works))
	}
	names := map[types.NamespacedName]bool{}
	for _, b := range r.state.bindings {
		names[b.name] = true
	}
	r.engine.forget(func(name types.NamespacedName) bool { return names[name] })
	return entries
}
