// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package syncer

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
)

var (
	errAway         = errors.New("no route to host")
	errForbidden    = apierrors.NewForbidden(clusterv1alpha1.Resource("clusters"), "", nil)
	errUnauthorized = apierrors.NewUnauthorized("who?")
)

func TestRefusals(t *testing.T) {
	for name, tc := range map[string]struct {
		reason string
		errs   []error
		want   []time.Duration
	}{
		"Away": {
			"a fleet that is away is tried as often as the reflector likes",
			[]error{errAway, errAway, errAway},
			[]time.Duration{0, 0, 0},
		},
		"Refused": {
			"a fleet that refuses is bothered ever less",
			[]error{errForbidden, errForbidden, errForbidden, errForbidden, errForbidden, errForbidden, errForbidden},
			[]time.Duration{0, 1 * time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 10 * time.Second, 10 * time.Second},
		},
		"Unknown": {
			"a certificate that is not taken is refused too",
			[]error{errUnauthorized, errUnauthorized},
			[]time.Duration{0, time.Second},
		},
		"Again": {
			"an answer, or none, ends the row",
			[]error{errForbidden, errForbidden, nil, errForbidden, errForbidden, errAway, errForbidden},
			[]time.Duration{0, time.Second, 0, 0, time.Second, 0, 0},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				next := 0
				answer := func() error {
					next++
					return tc.errs[next-1]
				}
				lw := (&refusals{clock: clock.RealClock{}}).slow(&cache.ListWatch{
					ListWithContextFunc:  func(context.Context, metav1.ListOptions) (runtime.Object, error) { return nil, answer() },
					WatchFuncWithContext: func(context.Context, metav1.ListOptions) (watch.Interface, error) { return nil, answer() },
				})
				var got []time.Duration
				for i, want := range tc.errs {
					began := time.Now()
					var err error
					if i%2 == 0 {
						_, err = lw.ListWithContext(t.Context(), metav1.ListOptions{})
					} else {
						_, err = lw.WatchWithContext(t.Context(), metav1.ListOptions{})
					}
					if !errors.Is(err, want) {
						t.Errorf("%s: attempt %d: %v, want %v", tc.reason, i, err, want)
					}
					got = append(got, time.Since(began))
				}
				if diff := cmp.Diff(tc.want, got); diff != "" {
					t.Errorf("%s: -want +got:\n%s", tc.reason, diff)
				}
			})
		})
	}
}
