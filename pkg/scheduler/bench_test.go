// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package scheduler

import (
	"context"
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/types"

	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/scheduler/template"
)

// instantBindings answers every write at once.
type instantBindings struct {
	bindingClient
	version atomic.Int64
}

func (i *instantBindings) Create(_ context.Context, binding workv1alpha1.Binding) (workv1alpha1.Binding, error) {
	version := strconv.FormatInt(i.version.Add(1), 10)
	binding.SetUID(types.UID(version))
	binding.SetResourceVersion(version)
	binding.SetGeneration(1)
	return binding, nil
}

// BenchmarkScheduleOne is the time of one decision, its write included but for
// the API server. The target is 1,000 per second with 100 members.
func BenchmarkScheduleOne(b *testing.B) {
	sized := func(key string) func(i int) *template.Template {
		return func(i int) *template.Template {
			object := deployment(fmt.Sprintf("%s-%d", key, i), 10)
			object.Namespace = fmt.Sprintf("ns-%d", i%100)
			object.UID = types.UID(strconv.Itoa(i))
			object.Spec.Template.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("10m")}
			kind, _ := (&fakeTemplates{}).Kind(template.Key{Group: "apps", Kind: "Deployment"}.GroupKind())
			return template.New(kind.Version, object, kind.Read(object))
		}
	}
	for _, members := range []int{2, 100, 1000} {
		b.Run(fmt.Sprintf("new/members=%d", members), func(b *testing.B) {
			h := benchHarness(b, members)
			newTemplate := sized("new")
			for i := range b.N {
				t := newTemplate(i)
				h.fleet.templates[t.Key()] = t
				h.queue.Add(t.Key())
			}
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				h.scheduleOne(h.ctx)
			}
			h.inFlight.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "decisions/s")
		})
		b.Run(fmt.Sprintf("unchanged/members=%d", members), func(b *testing.B) {
			h := benchHarness(b, members)
			t := sized("old")(0)
			h.fleet.templates[t.Key()] = t
			h.queue.Add(t.Key())
			h.scheduleOne(h.ctx)
			h.inFlight.Wait()
			b.ReportAllocs()
			for b.Loop() {
				h.queue.Add(t.Key())
				h.scheduleOne(h.ctx)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "decisions/s")
		})
	}
}

func benchHarness(b *testing.B, members int) *harness {
	b.Helper()
	h := newHarness(b)
	b.Cleanup(h.queue.ShutDown)
	h.autoPolicy()
	for i := range members {
		h.member(fmt.Sprintf("member%04d", i), pods(100_000))
	}
	h.bindings = &instantBindings{}
	return h
}
