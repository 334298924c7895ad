// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"fleet.dev/fleet/test/e2e/witness"
)

// agentKills is how often the agent is killed.
const agentKills = 50

// TestAgentKilled kills the agent again and again, at any moment, while much is
// created and changed. Nothing is deleted, and what was applied is not again.
func TestAgentKilled(t *testing.T) {
	s := newSpace(t)
	s.pinToEach(t)
	home := bed.members[1]
	l := s.startLoad(t, home)
	for i := range agentKills {
		// From the first moments of a start to long after it.
		<-time.After(time.Duration(200+i*37%1000) * time.Millisecond)
		if err := home.Agent.Kill(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := home.StartAgent(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	l.finish(t)
	t.Logf("%d kills while %d configmaps were created and %d of them changed", agentKills, len(l.contents), l.changes)
	s.checkNothingDeleted(t, home, l.mark)
	interrupted := l.checkAppliedOnce(t)
	t.Logf("%d applies were under way when the agent was killed", len(interrupted))
}

// loadInterval is how often a load creates or changes something.
const loadInterval = 50 * time.Millisecond

// load creates ConfigMaps for a member, one after the other, and changes each third
// of them once, some time later.
type load struct {
	space *space
	home  *member
	mark  witness.Mark // in the member's audit log, from when the load began
	stop  context.CancelFunc
	ended chan struct{}
	// written counts how often the member wrote a ConfigMap, by its name.
	written sync.Map

	// What follows is the load's until ended is closed.
	contents []int // the contents the ConfigMap of that number has had
	changes  int
	err      error
}

// startLoad starts a load, which finish ends.
func (s *space) startLoad(t *testing.T, home *member) *load {
	t.Helper()
	mark, err := home.audit.Mark()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	l := &load{space: s, home: home, mark: mark, stop: cancel, ended: make(chan struct{})}
	t.Cleanup(func() {
		cancel()
		<-l.ended
	})
	l.watch(t)
	go func() {
		defer close(l.ended)
		l.err = l.run(ctx)
	}()
	return l
}

// watch counts what the member writes.
func (l *load) watch(t *testing.T) {
	t.Helper()
	watcher, err := l.home.memberClient.CoreV1().ConfigMaps(l.space.namespace).Watch(t.Context(), metav1.ListOptions{LabelSelector: homeLabel + "=" + l.home.Name()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(watcher.Stop)
	go func() {
		for event := range watcher.ResultChan() {
			object, err := meta.Accessor(event.Object)
			if err != nil || event.Type != watch.Added && event.Type != watch.Modified {
				continue
			}
			count, _ := l.written.LoadOrStore(object.GetName(), &atomic.Int32{})
			count.(*atomic.Int32).Add(1)
		}
	}()
}

// writes is how often the member wrote the i-th ConfigMap.
func (l *load) writes(i int) int {
	count, found := l.written.Load(l.name(i))
	if !found {
		return 0
	}
	return int(count.(*atomic.Int32).Load())
}

func (l *load) name(i int) string { return fmt.Sprintf("load-%s-%d", l.home.Name(), i) }

func (l *load) run(ctx context.Context) error {
	// An operation that began ends, so that what it did is known.
	working := context.WithoutCancel(ctx)
	ticker := time.NewTicker(loadInterval)
	defer ticker.Stop()
	for {
		i := len(l.contents)
		if err := l.space.createConfig(working, l.home.Name(), l.name(i), "1"); err != nil {
			return err
		}
		l.contents = append(l.contents, 1)
		if changed := i - 10; changed >= 0 && changed%3 == 0 {
			if err := l.space.changeConfig(working, l.name(changed), "2"); err != nil {
				return err
			}
			l.contents[changed]++
			l.changes++
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// finish ends the load and waits until the member has all of it.
func (l *load) finish(t *testing.T) {
	t.Helper()
	l.stop()
	<-l.ended
	if l.err != nil {
		t.Fatal(l.err)
	}
	if l.changes == 0 {
		t.Fatal("the load was too short: nothing was changed")
	}
	missing := 0
	eventually(t, propagation, "all of the load to arrive", func(ctx context.Context) error {
		for ; missing < len(l.contents); missing++ {
			if err := l.space.checkConfig(ctx, l.home, l.name(missing), fmt.Sprint(l.contents[missing])); err != nil {
				return err
			}
			if l.writes(missing) == 0 {
				return fmt.Errorf("the watch of %s lags behind", l.home.Name())
			}
		}
		return nil
	})
}

// checkAppliedOnce checks that no content was applied twice, neither in vain nor so
// that the member wrote it again. It returns the applies that failed.
func (l *load) checkAppliedOnce(t *testing.T) (failed []witness.Write) {
	t.Helper()
	requests, err := l.home.audit.Since(l.mark, func(w witness.Write) bool {
		return w.Namespace == l.space.namespace && w.Resource == "configmaps"
	})
	if err != nil {
		t.Fatal(err)
	}
	applied := map[string]int{}
	for _, w := range requests {
		if w.Code >= http.StatusBadRequest {
			failed = append(failed, w)
			continue
		}
		applied[w.Name]++
	}
	var wrong []error
	for i, contents := range l.contents {
		if n, written := applied[l.name(i)], l.writes(i); n > contents || written > contents {
			wrong = append(wrong, fmt.Errorf("%s had %d contents, was applied %d times and written %d times", l.name(i), contents, n, written))
		}
	}
	if len(wrong) > 0 {
		t.Errorf("%d of %d objects were applied again:\n%v", len(wrong), len(l.contents), errors.Join(wrong...))
	}
	return failed
}

// checkNoneFailed checks that there are no applies that failed.
func checkNoneFailed(t *testing.T, failed []witness.Write) {
	t.Helper()
	if len(failed) > 0 {
		t.Errorf("applies that failed:\n%s", witness.Lines(failed))
	}
}
