// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package syncer

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"fleet.dev/fleet/pkg/member/fake"
)

func TestLane(t *testing.T) {
	const long = 2 * slowLook
	l := newLane(4, slowLook)
	at := func(name string) item { return item{name: name, rank: rankWorkload} }
	enter := func(want bool, names ...string) {
		t.Helper()
		for _, name := range names {
			if got := l.enter(at(name)); got != want {
				t.Errorf("enter(%s) = %t, want %t", name, got, want)
			}
		}
	}
	leave := func(name string, settled bool, took time.Duration, want string) {
		t.Helper()
		next, ok := l.leave(name, settled, took)
		if diff := cmp.Diff(want, next.name); diff != "" || ok != (want != "") {
			t.Errorf("leave(%s) = %q, %t, want %q", name, next.name, ok, want)
		}
	}
	// Nobody is known to be slow.
	enter(true, "a", "b", "c", "d")
	for _, name := range []string{"a", "b", "c", "d"} {
		leave(name, false, long, "")
	}
	// Now all are: two of four workers are for them.
	enter(true, "a", "b")
	enter(false, "c", "d", "c")
	enter(true, "quick")
	leave("quick", true, long, "")
	// A look that was not even a try says nothing.
	leave("a", false, 0, "c")
	enter(true, "c")
	enter(false, "a")
	// Who gets what it wants is not slow any more.
	leave("b", true, long, "d")
	enter(true, "b", "d")
	leave("c", true, 0, "a")
	leave("d", true, 0, "")
	enter(true, "a", "c", "d")
}

// TestSlowWorksLeaveRoom: works that the member is slow to refuse keep no others
// waiting.
func TestSlowWorksLeaveRoom(t *testing.T) {
	t.Parallel()
	r := newIdleRig(t)
	r.slowLook = 1 // whatever fails is slow
	r.start()
	stuck := func(request fake.Request) bool {
		return request.Verb == "apply" && strings.HasPrefix(request.Name, "stuck-")
	}
	var mu sync.Mutex
	tried, held, holding := map[string]bool{}, 0, false
	r.member.FailRequests(func(request fake.Request) *apierrors.StatusError {
		if !stuck(request) {
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		tried[request.Name] = true
		if holding {
			held-- // the syncer gave up on it
		}
		return apierrors.NewTimeoutError("failed calling webhook", 0)
	})
	const works = 3 * rigWorkers
	for i := range works {
		name := fmt.Sprintf("stuck-%d", i)
		r.want(name, strings.Replace(settings, "name: settings", "name: "+name, 1))
	}
	for i := range works {
		r.await(fmt.Sprintf("stuck-%d", i), "not applied", notApplied)
	}

	release := make(chan struct{})
	defer close(release)
	r.member.HoldRequests(func(request fake.Request) <-chan struct{} {
		if !stuck(request) {
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		held++
		holding = true
		return release
	})
	r.eventually("half of the workers to be stuck", func() error {
		mu.Lock()
		defer mu.Unlock()
		if held < rigWorkers/2 {
			return fmt.Errorf("%d are", held)
		}
		return nil
	})
	r.want("settings", settings)
	r.await("settings", "applied beside those that are stuck", applied)
	mu.Lock()
	defer mu.Unlock()
	if held != rigWorkers/2 || len(tried) != works {
		t.Errorf("%d of %d workers are stuck, %d of %d works were tried before", held, rigWorkers, len(tried), works)
	}
}
