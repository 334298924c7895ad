// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package syncer

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"fleet.dev/fleet/pkg/apis/wellknown"
	"fleet.dev/fleet/pkg/member/fake"
)

// A namespace that exists because something landed there goes with the last of it,
// whether or not a work was ever about it.
func TestVacate(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		reason string
		before func(r *rig)
		stays  bool
	}{
		"Last": {reason: "it was made for what is gone", before: func(*rig) {}},
		"Wanted": {
			reason: "a work sees to it",
			before: func(r *rig) {
				r.want("shop", shop)
				r.await("shop", "applied", applied)
			},
			stays: true,
		},
		"Used": {
			reason: "something else of the fleet is in it",
			before: func(r *rig) {
				r.want("web", webDeployment)
				r.await("web", "applied", applied)
			},
			stays: true,
		},
		"Foreign": {
			reason: "what somebody put there would go with it",
			before: func(r *rig) {
				r.member.Put(r, fake.Manifest(r, `{apiVersion: v1, kind: ConfigMap, metadata: {name: mine, namespace: shop}}`))
			},
			stays: true,
		},
		"Released": {
			reason: "what was released would go with it",
			before: func(r *rig) {
				r.want("web", webDeployment)
				r.await("web", "applied", applied)
				r.want("web", webDeployment, orphaned)
				r.await("web", "released", deleted)
				r.drop("web")
			},
			stays: true,
		},
		"NamespaceLeftBefore": {
			reason: "its own tombstone gave it up because it was used; the last in it sees to it then",
			before: func(r *rig) {
				r.want("shop", shop)
				r.await("shop", "applied", applied)
				r.want("shop", shop, tombstone)
				r.await("shop", "confirmed", deleted)
			},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.want("settings", settings)
			r.await("settings", "applied", applied)
			tc.before(r)
			r.settle()
			r.want("settings", settings, tombstone)
			r.await("settings", "deleted", deleted)
			if stays := r.member.Get("Namespace", "", "shop") != nil; stays != tc.stays {
				t.Errorf("%s: the namespace stays: %t, want %t", tc.reason, stays, tc.stays)
			}
		})
	}
}

// What was there before the fleet is not the fleet's to delete.
func TestVacateSparesOthersNamespaces(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.member.Put(t, fake.Manifest(t, shop))
	r.want("settings", settings)
	r.await("settings", "applied", applied)
	r.want("settings", settings, tombstone)
	r.await("settings", "deleted", deleted)
	if r.member.Get("Namespace", "", "shop") == nil {
		t.Error("the namespace went with what the fleet had in it")
	}
}

// A namespace that was made for what landed in it is that of the tombstone too
// whose work came and went before it was applied.
func TestPruneNamespaceNeverApplied(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.want("settings", settings)
	r.await("settings", "applied", applied)
	r.want("shop", shop, tombstone)
	r.want("settings", settings, tombstone)
	r.await("settings", "deleted", deleted)
	r.await("shop", "deleted", deleted)
	if r.member.Get("Namespace", "", "shop") != nil {
		t.Error("the namespace stays though nothing is in it")
	}
}

// Many leave at the same moment, and the namespace's own tombstone with them or not.
func TestVacateByMany(t *testing.T) {
	t.Parallel()
	const many = 60
	for name, own := range map[string]bool{"WithoutOwn": false, "WithOwn": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			if own {
				r.want("shop", shop)
			}
			manifest := func(i int) string {
				return fmt.Sprintf(`{apiVersion: v1, kind: ConfigMap, metadata: {name: c%d, namespace: shop}}`, i)
			}
			for i := range many {
				r.want(fmt.Sprint("c", i), manifest(i))
			}
			for i := range many {
				r.await(fmt.Sprint("c", i), "applied", applied)
			}
			if own {
				r.want("shop", shop, tombstone)
			}
			for i := range many {
				r.want(fmt.Sprint("c", i), manifest(i), tombstone)
			}
			for i := range many {
				r.await(fmt.Sprint("c", i), "deleted", deleted)
			}
			r.eventually("the namespace to go", func() error {
				if r.member.Get("Namespace", "", "shop") != nil {
					return fmt.Errorf("it is there")
				}
				return nil
			})
			if got := r.member.Requests()["delete namespaces"]; got != 1 {
				t.Errorf("%d deletions of the namespace, want 1", got)
			}
		})
	}
}

// The tombstone is the record of what is to be done until it is done.
func TestVacateIsTriedAgain(t *testing.T) {
	t.Parallel()
	refuse := func(r *rig, until *atomic.Bool, code func() *apierrors.StatusError) {
		r.member.FailRequests(func(request fake.Request) *apierrors.StatusError {
			if request.Verb != "delete" || request.Resource != "namespaces" || until.Load() {
				return nil
			}
			return code()
		})
	}
	t.Run("ByTheNextProcess", func(t *testing.T) {
		t.Parallel()
		r := newIdleRig(t)
		stop := r.start()
		r.want("settings", settings)
		r.await("settings", "applied", applied)
		var open atomic.Bool
		refused := make(chan struct{}, 100)
		refuse(r, &open, func() *apierrors.StatusError {
			refused <- struct{}{}
			return apierrors.NewTooManyRequests("busy", 0)
		})
		r.want("settings", settings, tombstone)
		<-refused
		stop()
		open.Store(true)
		r.start()
		r.await("settings", "deleted", deleted)
		if r.member.Get("Namespace", "", "shop") != nil {
			t.Error("the namespace stays")
		}
	})
	t.Run("NotWhileTheMemberIsSilentAboutAKind", func(t *testing.T) {
		t.Parallel()
		r := newRig(t)
		r.want("settings", settings)
		r.await("settings", "applied", applied)
		gone := schema.GroupVersionKind{Group: "metrics.k8s.io", Version: "v1beta1", Kind: "PodMetrics"}
		r.member.Serve(fake.Kind{GroupVersionKind: gone, Resource: "pods", Namespaced: true})
		r.member.FailDiscovery(gone.GroupVersion())
		r.want("settings", settings, tombstone)
		if item := r.await("settings", "deleted", deleted); !strings.Contains(item.AppliedMessage, "does not say what it serves") {
			t.Errorf("the report says %q, want why the namespace stays", item.AppliedMessage)
		}
		if r.member.Get("Namespace", "", "shop") == nil {
			t.Error("the namespace went though there may be something in it")
		}
	})
	t.Run("NotForEver", func(t *testing.T) {
		t.Parallel()
		r := newRig(t)
		r.want("settings", settings)
		r.await("settings", "applied", applied)
		var open atomic.Bool
		refuse(r, &open, func() *apierrors.StatusError {
			return apierrors.NewForbidden(schema.GroupResource{Resource: "namespaces"}, "shop", fmt.Errorf("not yours"))
		})
		r.want("settings", settings, tombstone)
		if item := r.await("settings", "deleted", deleted); !strings.Contains(item.AppliedMessage, "not yours") {
			t.Errorf("the report says %q, want the member's words", item.AppliedMessage)
		}
	})
}

// What comes while the namespace goes is made in the next one.
func TestVacateWhileSomethingComes(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.want("settings", settings)
	r.await("settings", "applied", applied)
	var came atomic.Bool
	r.member.FailRequests(func(request fake.Request) *apierrors.StatusError {
		if request.Verb == "delete" && request.Resource == "namespaces" && !came.Swap(true) {
			r.want("web", webDeployment)
		}
		return nil
	})
	r.want("settings", settings, tombstone)
	r.await("settings", "deleted", deleted)
	r.await("web", "applied", applied)
	namespace := r.member.Get("Namespace", "", "shop")
	if namespace == nil || namespace.GetAnnotations()[wellknown.AnnotationCreatedNamespace] != "true" {
		t.Fatalf("the namespace of what came: %v, want one the fleet created", namespace)
	}
	if r.member.Get("Deployment", "shop", "web") == nil {
		t.Error("what came is not there")
	}
}
