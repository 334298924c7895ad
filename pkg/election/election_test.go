// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package election

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	kubefake "k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

// candidates are processes that compete for one lease.
func candidates(n int) (*kubefake.Clientset, []*Election) {
	settings := Defaults("work", "kube-system")
	client := kubefake.NewClientset()
	elections := make([]*Election, n)
	for i := range elections {
		elections[i] = &Election{settings: settings, identity: fmt.Sprint(i), leases: client.CoordinationV1()}
	}
	return client, elections
}

func TestRunOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, elections := candidates(2)
		var working, worked atomic.Int32
		work := func(ctx context.Context) error {
			if working.Add(1) > 1 {
				t.Error("\nTwo never work at once, not even while one winds down.")
			}
			worked.Add(1)
			<-ctx.Done()
			time.Sleep(3 * time.Second) // work takes a while to return
			working.Add(-1)
			return nil
		}
		errs := make(chan error, 2)
		start := func(e *Election) context.CancelFunc {
			ctx, cancel := context.WithCancel(t.Context())
			go func() { errs <- e.Run(ctx, work) }()
			return cancel
		}

		stopFirst := start(elections[0])
		time.Sleep(time.Second)
		stopSecond := start(elections[1])
		time.Sleep(time.Minute)
		if got := worked.Load(); got != 1 {
			t.Errorf("\nThe second waits while the first works.\nworked: want 1, got %d", got)
		}

		stopFirst()
		if err := <-errs; err != nil {
			t.Errorf("\nTo be stopped is no error.\nRun(...): got %v", err)
		}
		time.Sleep(5 * time.Second)
		if got := worked.Load(); got != 2 {
			t.Errorf("\nThe lease is released, so the second one does not wait until it runs out.\nworked: want 2, got %d", got)
		}
		stopSecond()
		if err := <-errs; err != nil {
			t.Errorf("\nTo be stopped is no error.\nRun(...): got %v", err)
		}
	})
}

func TestRunStopsWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, elections := candidates(1)
		client.PrependReactor("*", "leases", func(clienttesting.Action) (bool, runtime.Object, error) {
			return true, nil, apierrors.NewServiceUnavailable("down")
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err := elections[0].Run(ctx, func(context.Context) error {
			t.Error("\nWithout the lease there is no work.")
			return nil
		})
		if err != nil {
			t.Errorf("\nTo be stopped while waiting is no error.\nRun(...): got %v", err)
		}
	})
}

func TestRunLosesLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, elections := candidates(1)
		var down atomic.Bool
		client.PrependReactor("*", "leases", func(clienttesting.Action) (bool, runtime.Object, error) {
			return down.Load(), nil, apierrors.NewServiceUnavailable("down")
		})
		go func() {
			time.Sleep(time.Minute)
			down.Store(true)
		}()
		err := elections[0].Run(t.Context(), func(ctx context.Context) error {
			<-ctx.Done()
			return nil
		})
		if !errors.Is(err, ErrLost) {
			t.Errorf("\nOne that cannot renew stops and says why.\nRun(...): want %v, got %v", ErrLost, err)
		}
	})
}

func TestRunReturnsErrorOfWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, elections := candidates(1)
		boom := errors.New("boom")
		if err := elections[0].Run(t.Context(), func(context.Context) error { return boom }); !errors.Is(err, boom) {
			t.Errorf("\nThe error of the work is the error of Run.\nRun(...): want %v, got %v", boom, err)
		}
		lease, err := client.CoordinationV1().Leases("kube-system").Get(t.Context(), "work", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if holder := lease.Spec.HolderIdentity; holder == nil || *holder != "" {
			t.Errorf("\nThe lease is released on the way out.\nholder: want empty, got %v", holder)
		}
	})
}

func TestRunWithoutElection(t *testing.T) {
	boom := errors.New("boom")
	client, elections := candidates(1)
	elections[0].settings.LeaderElect = false
	if err := elections[0].Run(t.Context(), func(context.Context) error { return boom }); !errors.Is(err, boom) {
		t.Errorf("\nWithout competitors the work starts at once.\nRun(...): want %v, got %v", boom, err)
	}
	if actions := client.Actions(); len(actions) > 0 {
		t.Errorf("\nNo lease is touched then.\nrequests: got %v", actions)
	}
}

func TestRunTakesItsOwnLeaseOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, elections := candidates(2)
		elections[1].identity = elections[0].identity
		killed, kill := context.WithCancel(t.Context())
		elector, err := elections[0].elector(func(context.Context) {})
		if err != nil {
			t.Fatal(err)
		}
		go elector.Run(killed) // holds the lease and never gives it back while the test runs
		defer kill()
		time.Sleep(time.Second)
		started := time.Now()
		if err := elections[1].Run(t.Context(), func(context.Context) error { return errors.New("worked") }); err == nil || err.Error() != "worked" {
			t.Fatalf("\nIt works.\nRun(...): got %v", err)
		}
		if waited := time.Since(started); waited > 3*time.Second {
			t.Errorf("\nA container that starts again in its Pod does not wait for its own lease to run out.\nwaited: %s", waited)
		}
	})
}
