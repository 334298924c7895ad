// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package scheduler

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	policyv1alpha1 "fleet.dev/fleet/pkg/apis/policy/v1alpha1"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/scheduler/framework/plugins/apienablement"
	"fleet.dev/fleet/pkg/scheduler/template"
)

// TestVersionsOfMembers places a kind on members that serve different versions of it,
// of which one is upgraded.
func TestVersionsOfMembers(t *testing.T) {
	inBubble(t, func(h *harness) {
		databases := schema.GroupVersionKind{Group: "example.com", Version: "v2", Kind: "Database"}
		h.fleet.define(databases, "databases", true)
		known := h.fleet.crds[databases.GroupKind()]
		known.Versions = []string{"v1", "v1beta1"}
		h.fleet.crds[databases.GroupKind()] = known
		h.clusterPolicy("databases", "example.com/v2", "Database", policyv1alpha1.Placement{})
		h.member("m1", serving("example.com/v2", "Database"), serving("example.com/v1", "Database"))
		h.member("m2", serving("example.com/v1beta1", "Database"), serving("example.com/v1", "Database"))
		h.member("m3")
		key := h.createCustom(databases, "shop", "main")
		h.settle()
		h.want(key, "m1 m2", "A member has to serve some version that the fleet can convert to.")
		want := []workv1alpha1.MemberVersion{{APIVersion: "example.com/v1", Clusters: []string{"m2"}}}
		if diff := cmp.Diff(want, h.store.of(key).GetSpec().Versions); diff != "" {
			t.Errorf("the best version a member serves is recorded if it is not the fleet's: -want, +got:\n%s", diff)
		}

		reasons := func(want ...workv1alpha1.ClusterReason) {
			t.Helper()
			if diff := cmp.Diff(want, h.store.of(key).GetStatus().Reasons, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("members that do not serve the kind are told of, though others do: -want, +got:\n%s", diff)
			}
		}
		reasons(workv1alpha1.ClusterReason{ClusterName: "m3", Plugin: apienablement.Name, Message: apienablement.ErrReason})

		h.member("m2", serving("example.com/v2", "Database"))
		h.settle()
		if got := h.store.of(key).GetSpec().Versions; len(got) > 0 {
			t.Errorf("the member serves the fleet's version now, want no other on record, got %v", got)
		}
		reasons(workv1alpha1.ClusterReason{ClusterName: "m3", Plugin: apienablement.Name, Message: apienablement.ErrReason})
		h.store.takeWrites()
		h.put(databases, &metav1.ObjectMeta{Namespace: "shop", Name: "main"}, template.Traits{})
		h.settle()
		h.wantWrites(0, "Nothing changed.")

		for i := range maxMentioned {
			h.member(fmt.Sprintf("other%d", i))
		}
		h.settle()
		if got := h.store.of(key).GetStatus().Reasons; len(got) != maxMentioned {
			t.Errorf("want %d of the %d members that do not serve the kind, got %d", maxMentioned, maxMentioned+1, len(got))
		}
		condition := meta.FindStatusCondition(h.store.of(key).GetStatus().Conditions, workv1alpha1.ConditionScheduled)
		if want := "members have been chosen; others do not serve the kind, see reasons"; condition == nil || condition.Message != want {
			t.Errorf("want %q, got %v", want, condition)
		}
		for i := range maxMentioned {
			h.unjoined(fmt.Sprintf("other%d", i))
		}

		h.member("m3", serving("example.com/v1", "Database"))
		h.settle()
		h.want(key, "m1 m2 m3", "The member serves the kind now.")
		reasons()
	})
}
