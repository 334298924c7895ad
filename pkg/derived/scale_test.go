// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package derived

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	"k8s.io/apimachinery/pkg/watch"
)

// TestManyBindings loads 2,000 Deployments on 5 members each and changes some.
// The times in its log are for comparison within one run.
func TestManyBindings(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 4,000 objects")
	}
	const bindings, members, changed = 2000, 5, 200
	f := newFleet(t)
	f.list(&metainternalversion.ListOptions{}, "")
	position := f.list(&metainternalversion.ListOptions{}, "").ResourceVersion
	names := make([]string, members)
	for i := range names {
		names[i] = fmt.Sprintf("m%d", i)
	}
	// receive counts events and resumes when the Cacher ends the watch, which it
	// does to a reader that is slow for a moment.
	receive := func(count int, kind watch.EventType) (resumed int) {
		for got := 0; got < count; resumed++ {
			w, err := f.tryWatch(&metainternalversion.ListOptions{ResourceVersion: position}, "")
			if err != nil {
				t.Errorf("watch: %v", err)
				return resumed
			}
			for e := range w.ResultChan() {
				position = workOf(t, e).ResourceVersion
				if e.Type == kind {
					got++
				}
				if got == count {
					break
				}
			}
			w.Stop()
		}
		return resumed - 1
	}

	start := time.Now()
	done := make(chan int)
	go func() { done <- receive(bindings*members, watch.Added) }()
	for i := range bindings {
		template := newDeployment("shop", fmt.Sprintf("web-%d", i), 3)
		f.put(template)
		f.put(newBinding("Deployment", "apps/v1", template, names...))
	}
	written := time.Since(start)
	resumed := <-done
	t.Logf("created: %v to write, %v until the last of %d works was received, %d times resumed",
		written, time.Since(start), bindings*members, resumed)

	f.stop()
	f.engine, f.works, f.capture, f.stop = nil, nil, nil, nil
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start = time.Now()
	f.start()
	eventually(t, "works are loaded", func() bool { return f.engine.Ready() == nil })
	loaded := time.Since(start)
	list := f.list(&metainternalversion.ListOptions{}, "")
	if len(list.Items) != bindings*members {
		t.Fatalf("%d works, want %d", len(list.Items), bindings*members)
	}
	t.Logf("restarted: %v until loaded, %v until listed", loaded, time.Since(start))
	position = list.ResourceVersion
	list = nil
	runtime.GC()
	runtime.ReadMemStats(&after)
	t.Logf("memory: %d bytes per work", (int64(after.HeapAlloc)-int64(before.HeapAlloc))/(bindings*members))

	start = time.Now()
	go func() { done <- receive(changed*members, watch.Modified) }()
	for i := range changed {
		template := newDeployment("shop", fmt.Sprintf("web-%d", i), 3)
		template.Spec.Template.Spec.Containers[0].Image = "nginx:2"
		f.put(template)
	}
	resumed = <-done
	t.Logf("changed: %v until the last of %d works was received, %d times resumed", time.Since(start), changed*members, resumed)
}
