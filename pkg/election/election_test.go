// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package manager

import (
	"context"
	"errors"
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

// candidates makes managers that compete for one lease.
func candidates(t *testing.T, n int) (*kubefake.Clientset, []*Manager) {
	t.Helper()
	config, err := NewConfig(nil)
	if err != nil {
		t.Fatal(err)
	}
	client := kubefake.NewClientset()
	managers := make([]*Manager, n)
	for i := range managers {
		managers[i] = &Manager{config: *config, leases: client.CoordinationV1()}
	}
	return client, managers
}

func TestLeadOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, managers := candidates(t, 2)
		var working, worked atomic.Int32
		work := func(ctx context.Context) error {
			if working.Add(1) > 1 {
				t.Error("\nTwo managers never work at once, not even while one winds down.")
			}
			worked.Add(1)
			<-ctx.Done()
			time.Sleep(3 * time.Second) // controllers take a while to return
			working.Add(-1)
			return nil
		}
		errs := make(chan error, 2)
		start := func(m *Manager) context.CancelFunc {
			ctx, cancel := context.WithCancel(t.Context())
			go func() { errs <- m.lead(ctx, work) }()
			return cancel
		}

		stopFirst := start(managers[0])
		time.Sleep(time.Second)
		stopSecond := start(managers[1])
		time.Sleep(time.Minute)
		if got := worked.Load(); got != 1 {
			t.Errorf("\nThe second manager waits while the first works.\nworked: want 1, got %d", got)
		}

		stopFirst()
		if err := <-errs; err != nil {
			t.Errorf("\nTo be stopped is no error.\nlead(...): got %v", err)
		}
		time.Sleep(5 * time.Second)
		if got := worked.Load(); got != 2 {
			t.Errorf("\nThe lease is released, so the second one does not wait until it runs out.\nworked: want 2, got %d", got)
		}
		stopSecond()
		if err := <-errs; err != nil {
			t.Errorf("\nTo be stopped is no error.\nlead(...): got %v", err)
		}
	})
}

func TestLeadStopsWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, managers := candidates(t, 1)
		client.PrependReactor("*", "leases", func(clienttesting.Action) (bool, runtime.Object, error) {
			return true, nil, apierrors.NewServiceUnavailable("down")
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err := managers[0].lead(ctx, func(context.Context) error {
			t.Error("\nWithout the lease there is no work.")
			return nil
		})
		if err != nil {
			t.Errorf("\nTo be stopped while waiting is no error.\nlead(...): got %v", err)
		}
	})
}

func TestLeadLosesLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, managers := candidates(t, 1)
		var down atomic.Bool
		client.PrependReactor("*", "leases", func(clienttesting.Action) (bool, runtime.Object, error) {
			return down.Load(), nil, apierrors.NewServiceUnavailable("down")
		})
		go func() {
			time.Sleep(time.Minute)
			down.Store(true)
		}()
		err := managers[0].lead(t.Context(), func(ctx context.Context) error {
			<-ctx.Done()
			return nil
		})
		if !errors.Is(err, errLostLease) {
			t.Errorf("\nA manager that cannot renew stops and says why.\nlead(...): want %v, got %v", errLostLease, err)
		}
	})
}

func TestLeadReturnsErrorOfWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, managers := candidates(t, 1)
		boom := errors.New("boom")
		if err := managers[0].lead(t.Context(), func(context.Context) error { return boom }); !errors.Is(err, boom) {
			t.Errorf("\nThe error of the work is the error of the manager.\nlead(...): want %v, got %v", boom, err)
		}
		lease, err := client.CoordinationV1().Leases("kube-system").Get(t.Context(), LeaseName, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if holder := lease.Spec.HolderIdentity; holder == nil || *holder != "" {
			t.Errorf("\nThe lease is released on the way out.\nholder: want empty, got %v", holder)
		}
	})
}
