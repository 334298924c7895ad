// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package derived

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strconv"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/util/workqueue"

	"fleet.dev/fleet/pkg/apis/work"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/render"
)

// renderer turns what is in etcd into works: all of it once (load), then change
// by change (follow). One goroutine uses it.
type renderer struct {
	engine  *Engine
	fleetID string
	state   *state
	// followed is how far etcd was taken in.
	followed mark
}

// rendering is what the members of a binding are to have.
type rendering struct {
	members []memberWork // sorted by member
	err     error        // for all members
	unknown bool         // not even the members are known, all stays as it is
}

// memberWork is a work, none, or why it could not be rendered.
type memberWork struct {
	member string
	work   *work.Work
	err    error
}

// renderAll renders bindings in parallel. The state is only read.
func (r *renderer) renderAll(ctx context.Context, bindings []*binding) []rendering {
	renderings := make([]rendering, len(bindings))
	if len(bindings) == 1 {
		renderings[0] = r.render(ctx, bindings[0])
		return renderings
	}
	workqueue.ParallelizeUntil(ctx, min(runtime.GOMAXPROCS(0), len(bindings)), len(bindings), func(i int) {
		renderings[i] = r.render(ctx, bindings[i])
	})
	return renderings
}

// render renders the works of one binding; none of a deleted one. A panic counts
// as an error of the binding: what is stored would make the server panic again
// after every restart, and no other work could be served.
func (r *renderer) render(ctx context.Context, b *binding) (made rendering) {
	defer func() {
		if cause := recover(); cause != nil {
			made = rendering{unknown: true, err: fmt.Errorf("render works of binding %q: panic: %v", b.name, cause)}
		}
	}()
	if b.object == nil {
		return rendering{}
	}
	if err := r.state.checkName(b); err != nil {
		return rendering{unknown: true, err: err}
	}
	start := r.engine.options.Clock.Now()
	defer func() { renderSeconds.Observe(r.engine.options.Clock.Since(start).Seconds()) }()
	rendersTotal.Inc()
	template, err := r.prepare(ctx, b)
	// Tombstones need no template: a member is told to delete even if the
	// template cannot be read.
	results := render.Works(r.fleetID, template, b.object)
	members := make([]memberWork, len(results))
	for i, result := range results {
		members[i] = memberWork{member: result.Cluster, err: result.Err}
		if result.Work != nil {
			members[i].work = &work.Work{}
			members[i].err = workv1alpha1.Convert_v1alpha1_Work_To_work_Work(result.Work, members[i].work, nil)
		}
	}
	return rendering{members: members, err: err}
}

// prepare reads the template of a binding, in the versions its members get it in; nil
// when there is none.
func (r *renderer) prepare(ctx context.Context, b *binding) (*render.Template, error) {
	object, err := r.state.templateOf(ctx, b)
	if err != nil || object == nil {
		return nil, err
	}
	template, err := render.Prepare(object)
	if err != nil {
		return nil, err
	}
	versions := map[string]render.Version{}
	for _, other := range b.object.GetSpec().Versions {
		var version render.Version
		converted, err := r.state.templateIn(ctx, b, other.APIVersion)
		if err == nil {
			version.Template, err = render.Prepare(converted)
		}
		version.Err = err
		versions[other.APIVersion] = version
	}
	return template.WithVersions(versions), nil
}

// settle compares what a binding was rendered to with what is served and returns
// the changes. Places are counted from the given one through the members it has
// or had; the next free one is returned.
func (r *renderer) settle(ctx context.Context, b *binding, made rendering, revision int64, place int) ([]change, int) {
	rendered := map[string]memberWork{}
	for _, m := range made.members {
		rendered[m.member] = m
	}
	members := slices.Collect(maps.Keys(rendered))
	for member := range b.works {
		if _, ok := rendered[member]; !ok {
			members = append(members, member)
		}
	}
	slices.Sort(members)

	failures := map[string]error{}
	if made.err != nil {
		failures[""] = made.err
	}
	if made.unknown {
		renderErrorsTotal.Inc()
		members = nil
	}
	var changes []change
	for i, member := range members {
		m, wanted := rendered[member]
		if m.err != nil {
			failures[member] = m.err
		}
		if m.err != nil || wanted && m.work == nil && made.err != nil {
			renderErrorsTotal.Inc()
			continue
		}
		if changed, ok := b.replace(member, m.work, resourceVersionAt(revision, place+i)); ok {
			changes = append(changes, changed)
		}
	}
	r.engine.report(ctx, b, failures)
	if notify := r.engine.options.OnChange; notify != nil && (len(changes) > 0 || len(b.works) == 0) {
		notify(b.name)
	}
	return changes, place + len(members)
}

func keyOf(w *work.Work) string { return w.Namespace + "/" + w.Name }

// replace makes next, or nothing, the work of the member, if that differs from
// the one it has.
func (b *binding) replace(member string, next *work.Work, resourceVersion uint64) (change, bool) {
	old := b.works[member]
	changed := change{ResourceVersion: resourceVersion, Old: old}
	if next == nil {
		delete(b.works, member)
		return changed, old != nil
	}
	if old != nil {
		share(next, old.Object)
		if sameWork(next, old.Object) {
			return change{}, false
		}
	}
	next.ResourceVersion = strconv.FormatUint(resourceVersion, 10)
	changed.Next = &entry{Key: keyOf(next), ResourceVersion: resourceVersion, Object: next}
	b.works[member] = changed.Next
	return changed, true
}

// share makes equal manifests the same memory.
func share(next, old *work.Work) {
	manifests, before := next.Spec.Workload.Manifests, old.Spec.Workload.Manifests
	if len(manifests) == 1 && len(before) == 1 && bytes.Equal(manifests[0].Raw, before[0].Raw) {
		manifests[0].Raw = before[0].Raw
	}
}

// sameWork compares all but the resource version. The content hash is part of
// the spec, so the manifests need not be compared byte by byte again.
func sameWork(a, b *work.Work) bool {
	if a.Spec.ContentHash != b.Spec.ContentHash || a.UID != b.UID || !maps.Equal(a.Labels, b.Labels) {
		return false
	}
	specA, specB := a.Spec, b.Spec
	specA.Workload, specB.Workload = work.WorkloadTemplate{}, work.WorkloadTemplate{}
	return equality.Semantic.DeepEqual(specA, specB)
}

// count updates the metrics for changes that are now served.
func count(changes []change, works, bindings int, revision int64) {
	for i := range changes {
		changesTotal.WithLabelValues(string(changes[i].EventType())).Inc()
	}
	worksGauge.Set(float64(works))
	bindingsGauge.Set(float64(bindings))
	revisionGauge.Set(float64(revision))
}

// uidOf decodes an object for its uid.
func uidOf(ctx context.Context, r *resource, key string, value []byte) (string, error) {
	object, err := r.decode(ctx, key, value)
	if err != nil {
		return "", err
	}
	accessor, err := meta.Accessor(object)
	if err != nil {
		return "", fmt.Errorf("read uid of %q: %w", key, err)
	}
	return string(accessor.GetUID()), nil
}

// lastRevision is the revision in which what a binding is rendered from was last
// written.
func (b *binding) lastRevision() int64 {
	if b.template == nil {
		return b.revision
	}
	return cmp.Or(max(b.revision, b.template.revision), 1)
}
