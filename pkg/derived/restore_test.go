// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package derived

import (
	"fmt"
	"os"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/utils/clock"
)

// hastyClock ticks every 50 ms, whatever is asked for.
type hastyClock struct{ clock.RealClock }

func (c hastyClock) NewTicker(time.Duration) clock.Ticker {
	return c.RealClock.NewTicker(50 * time.Millisecond)
}

// TestRestoredEtcd restores etcd from a copy of its data while the engine runs:
// works are those of the copy, and watches are told to list anew.
func TestRestoredEtcd(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		writes int // after the restore, before the engine is connected again
		clock  clock.WithTicker
		read   bool // have a read notice, not time
	}{
		"noticed by a read":               {clock: clock.RealClock{}, read: true},
		"noticed by time":                 {clock: hastyClock{}},
		"noticed though further in count": {clock: hastyClock{}, writes: 20},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testRestore(t, test.clock, test.writes, test.read)
		})
	}
}

func testRestore(t *testing.T, ticking clock.WithTicker, writes int, read bool) {
	t.Helper()
	dir, backup := t.TempDir(), t.TempDir()
	client, stop := startEtcdIn(t, dir)
	f := &fleet{t: t, client: client}
	kept, lost := newConfigMap("shop", "kept", "0"), newConfigMap("shop", "lost", "0")
	f.put(kept)
	f.put(newBinding("ConfigMap", "v1", kept, "m1"))
	stop()
	if err := os.CopyFS(backup, os.DirFS(dir)); err != nil {
		t.Fatalf("copy the data of etcd: %v", err)
	}

	client, stop = startEtcdIn(t, dir)
	var l *link
	f = newFleetOn(t, client, throughLink(&l), func(_ *fleet, options *Options) { options.Clock = ticking })
	want := contents(f.list(&metainternalversion.ListOptions{}, ""))
	f.put(lost)
	f.put(newBinding("ConfigMap", "v1", lost, "m1"))
	kept.Data["content"] = "1"
	f.put(kept)
	before := f.list(&metainternalversion.ListOptions{}, "")
	if len(before.Items) != 2 {
		t.Fatalf("%d works before the restore, want 2", len(before.Items))
	}
	cached := f.watch(&metainternalversion.ListOptions{ResourceVersion: before.ResourceVersion}, "")
	direct, err := f.engine.storage("/work.fleet.dev/works", f.works.NewFunc).Watch(t.Context(), "/work.fleet.dev/works",
		storage.ListOptions{ResourceVersion: before.ResourceVersion, Recursive: true, Predicate: storage.Everything})
	if err != nil {
		t.Fatalf("watch: %v", err)
	}
	t.Cleanup(direct.Stop)

	l.cut()
	stop()
	f.client, _ = startEtcdIn(t, backup)
	for i := range writes {
		f.putRaw(testPrefix+"/x", fmt.Sprint(i))
	}
	l.lead(f.client.Endpoints()[0])
	l.mend()

	if read {
		eventually(t, "a read notices", func() bool {
			list, err := f.tryList(&metainternalversion.ListOptions{}, "")
			return err == nil && len(list.Items) == 1
		})
	}
	e := next(t, direct)
	if status, ok := e.Object.(*metav1.Status); !ok || status.Reason != metav1.StatusReasonExpired {
		t.Errorf("watch got %v, want 410 Expired", e)
	}
	expectEnd(t, cached)
	if got := contents(f.list(&metainternalversion.ListOptions{}, "")); len(got) != 1 || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("works after the restore are %v, want %v", got, want)
	}
	expectExpired(t, f, before.ResourceVersion)
	f.put(lost)
	f.put(newBinding("ConfigMap", "v1", lost, "m1"))
	if got := f.list(&metainternalversion.ListOptions{}, ""); len(got.Items) != 2 {
		t.Errorf("%d works after writing to the restored etcd, want 2", len(got.Items))
	}
}

// expectEnd waits for a watch to end without having sent works.
func expectEnd(t *testing.T, w watch.Interface) {
	t.Helper()
	timeout := time.After(waitLong)
	for {
		select {
		case e, ok := <-w.ResultChan():
			if !ok {
				return
			}
			if e.Type != watch.Error && e.Type != watch.Bookmark {
				t.Fatalf("watch sends %s after etcd was restored", e.Type)
			}
		case <-timeout:
			t.Fatal("watch goes on though etcd was restored")
		}
	}
}

// expectExpired resumes a watch of before the restore.
func expectExpired(t *testing.T, f *fleet, resourceVersion string) {
	t.Helper()
	w, err := f.tryWatch(&metainternalversion.ListOptions{ResourceVersion: resourceVersion}, "")
	if err == nil {
		defer w.Stop()
		err = apierrors.FromObject(next(t, w).Object)
	}
	if !apierrors.IsResourceExpired(err) {
		t.Errorf("watch resumed from before the restore: %v, want 410 Expired", err)
	}
}
