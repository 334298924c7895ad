// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package derived

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/klog/v2"

	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
)

// errWatchEnded is returned when etcd's client ended a watch without a reason.
var errWatchEnded = errors.New("etcd watch ended")

// follow takes in what happens after a revision until the watch ends or etcd was
// restored. It returns the last revision taken in.
func (r *renderer) follow(ctx context.Context, revision int64) (int64, error) {
	var checking sync.WaitGroup
	defer checking.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	etcd := r.engine.etcd
	responses := etcd.client.Watch(watchContext(ctx), etcd.prefix,
		clientv3.WithPrefix(), clientv3.WithRev(revision+1), clientv3.WithProgressNotify(), clientv3.WithFragment())
	ticker := r.engine.options.Clock.NewTicker(restoreCheckPeriod)
	defer ticker.Stop()
	// One check at a time, aside: what happens need not wait for its answer.
	var checked chan error
	check := func() {
		if checked != nil {
			return
		}
		answer, followed := make(chan error, 1), r.followed
		checked = answer
		checking.Go(func() { answer <- r.engine.checkNotRestored(ctx, followed) })
	}
	for {
		select {
		case response, ok := <-responses:
			if !ok {
				return revision, errWatchEnded
			}
			if err := response.Err(); err != nil {
				return revision, fmt.Errorf("watch etcd after revision %d: %w", revision, err)
			}
			if response.IsProgressNotify() && response.Header.Revision < revision {
				check() // a member of etcd that is behind may say that too
			}
			reached, err := r.takeIn(ctx, &response)
			revision = max(revision, reached)
			r.followed.revision = revision
			if err != nil {
				return revision, err
			}
			lagGauge.Set(float64(response.Header.Revision - revision))
		case <-ticker.C():
			check()
		case <-r.engine.suspected:
			check()
		case err := <-checked:
			checked = nil
			if mustReload(err) {
				return revision, err
			}
		}
	}
}

// takeIn takes in one response of the watch: what happened in some revisions, of
// each of them everything. It returns the last revision taken in.
func (r *renderer) takeIn(ctx context.Context, response *clientv3.WatchResponse) (int64, error) {
	if err := r.followed.otherCluster(&response.Header); err != nil {
		return 0, err
	}
	if response.IsProgressNotify() {
		r.engine.ledger.Commit(resourceVersionAfter(response.Header.Revision), nil)
		return response.Header.Revision, nil
	}
	if len(response.Events) == 0 {
		return 0, nil
	}
	if first := response.Events[0].Kv.ModRevision; first <= r.followed.revision {
		return 0, fmt.Errorf("%w (sends revision %d after %d)", errRestored, first, r.followed.revision)
	}
	batch := r.newEventBatch(ctx, response.Events)
	var reached int64
	for from := 0; from < len(response.Events); {
		revision := response.Events[from].Kv.ModRevision
		to := from
		for ; to < len(response.Events) && response.Events[to].Kv.ModRevision == revision; to++ {
			if err := r.takeInEvent(ctx, batch, to); err != nil {
				return reached, err
			}
			if event := response.Events[to]; event.Type == clientv3.EventTypePut {
				r.followed.written = readAt{key: string(event.Kv.Key), revision: revision}
			}
		}
		r.publish(ctx, revision)
		reached, from = revision, to
	}
	return reached, nil
}

// publish renders what a revision changed and serves it.
func (r *renderer) publish(ctx context.Context, revision int64) {
	dirty := r.state.takeDirty()
	if len(dirty) == 0 {
		r.engine.ledger.Commit(resourceVersionAfter(revision), nil)
		return
	}
	renderings := r.renderAll(ctx, dirty)
	if ctx.Err() != nil {
		return // some may not have been rendered
	}
	var changes []change
	place := 0
	for i, b := range dirty {
		var changed []change
		changed, place = r.settle(ctx, b, renderings[i], revision, place)
		changes = append(changes, changed...)
	}
	r.engine.ledger.Commit(resourceVersionAfter(revision), changes)
	works, _ := r.engine.ledger.Stats()
	count(changes, works, len(r.state.bindings), revision)
	if len(changes) > 0 {
		klog.FromContext(ctx).V(4).Info("Works changed", "works", len(changes), "revision", revision)
	}
}

// decodedBinding is a binding, or why it could not be decoded.
type decodedBinding struct {
	object workv1alpha1.Binding
	err    error
}

// eventBatch is the events of one response with what was prepared for all of
// them at once.
type eventBatch struct {
	events   []*clientv3.Event
	bindings map[int]decodedBinding // by index of the event
	read     map[readAt]stored      // templates
}

// newEventBatch decodes the bindings among events and reads, in parallel, the
// templates they refer to that are not known. It is an optimisation: what cannot
// be read now is read when the event is taken in.
func (r *renderer) newEventBatch(ctx context.Context, events []*clientv3.Event) *eventBatch {
	batch := &eventBatch{events: events, bindings: map[int]decodedBinding{}, read: map[readAt]stored{}}
	written := map[string]bool{} // earlier in the batch
	var reads []readAt
	for i, event := range events {
		key := string(event.Kv.Key)
		resource := r.state.bindingResource(key)
		if event.Type != mvccpb.PUT || resource == nil {
			written[key] = true
			continue
		}
		object, err := decodeBinding(ctx, resource, key, event.Kv.Value)
		batch.bindings[i] = decodedBinding{object: object, err: err}
		if err != nil {
			continue
		}
		templateKey, err := r.state.templateKey(object.GetSpec())
		if err != nil || written[templateKey] || r.state.knows(templateKey) {
			continue
		}
		written[templateKey] = true
		reads = append(reads, readAt{key: templateKey, revision: event.Kv.ModRevision})
	}
	templateReadsTotal.Add(float64(len(reads)))
	values, err := readKeys(ctx, r.engine.etcd.client, reads)
	if err != nil {
		return batch
	}
	for i, read := range reads {
		batch.read[read] = values[i]
	}
	return batch
}

// knows says whether a template is at hand.
func (s *state) knows(templateKey string) bool {
	_, written := s.recent.get(templateKey)
	return written || s.templates[templateKey] != nil
}

// takeInEvent changes the state by one event.
func (r *renderer) takeInEvent(ctx context.Context, batch *eventBatch, index int) error {
	event := batch.events[index]
	key := string(event.Kv.Key)
	read := func(templateKey string) (stored, error) {
		return r.readTemplate(ctx, batch, readAt{key: templateKey, revision: event.Kv.ModRevision})
	}
	deleted := event.Type != mvccpb.PUT
	switch {
	case r.state.bindingResource(key) != nil:
		if deleted {
			r.state.deleteBinding(key)
			return nil
		}
		decoded := batch.bindings[index]
		if decoded.object == nil {
			logDecodeError(ctx, "binding", key, decoded.err)
			return nil
		}
		return r.state.putBinding(key, event.Kv.ModRevision, decoded.object, read)
	case r.state.isDefinition(key):
		return r.takeInDefinition(ctx, event, read)
	case deleted:
		r.state.deleteTemplate(key)
	default:
		r.state.putTemplate(key, stored{value: event.Kv.Value, revision: event.Kv.ModRevision})
	}
	return nil
}

// takeInDefinition takes in a CustomResourceDefinition, which may be a template
// as well.
func (r *renderer) takeInDefinition(ctx context.Context, event *clientv3.Event, read func(string) (stored, error)) error {
	key := string(event.Kv.Key)
	if event.Type != mvccpb.PUT {
		r.state.deleteTemplate(key)
		r.state.deleteDefinition(key)
		return nil
	}
	r.state.putTemplate(key, stored{value: event.Kv.Value, revision: event.Kv.ModRevision})
	made, err := r.engine.capture.newDefinition(ctx, key, event.Kv.Value)
	if err != nil {
		logDecodeError(ctx, "definition", key, err)
		return nil
	}
	return r.state.putDefinition(key, made, read)
}

// readTemplate returns a template as of a revision. It retries until the context
// ends or the revision was compacted.
func (r *renderer) readTemplate(ctx context.Context, batch *eventBatch, read readAt) (stored, error) {
	if value, ok := batch.read[read]; ok {
		return value, nil
	}
	backoff := r.engine.newBackoff()
	for {
		templateReadsTotal.Inc()
		values, err := readKeys(ctx, r.engine.etcd.client, []readAt{read})
		if err == nil {
			return values[0], nil
		}
		if mustReload(err) || ctx.Err() != nil {
			return stored{}, err
		}
		klog.FromContext(ctx).Error(err, "Cannot read template, retrying", "key", read.key)
		r.engine.pause(ctx, backoff.Step())
	}
}
