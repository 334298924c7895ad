// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package feedback_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"

	"fleet.dev/fleet/pkg/apis/work"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/feedback"
)

// seen is a binding as the syncer of member a sees it.
type seen struct {
	generation      int64
	wanted, deleted bool
}

// TestMovesAndLateConfirmations has a template leave a member and come back at
// random, a syncer that is behind, and confirmations that arrive late, twice and in
// any order. A tombstone is never taken away while the member has the object.
func TestMovesAndLateConfirmations(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	scheme, namespaced, cluster := registries(t)
	inNamespace := genericapirequest.WithNamespace(ctx, "ns")
	decision := bindingOf("a", "b")
	decision.UID = ""
	create(inNamespace, t, scheme, namespaced, decision)
	bindings := feedback.NewBindings(scheme, namespaced.Feedback, cluster.Feedback)
	templates := newEtcd()
	templates.putTemplate(deploymentOf(2))
	intake, err := feedback.New(feedback.Options{
		Works: works(everyWork), Bindings: bindings, Templates: templateClient{&server{etcd: templates}}, Window: time.Millisecond, MaxWindow: time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	running, stop := context.WithCancel(ctx)
	ended := make(chan error)
	go func() { ended <- intake.Run(running) }()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()

	look := func() seen {
		binding, err := bindings.Get(ctx, web, true)
		if err != nil {
			t.Fatal(err)
		}
		spec := binding.GetSpec()
		return seen{
			generation: binding.GetGeneration(),
			wanted:     slices.ContainsFunc(spec.Clusters, func(c workv1alpha1.TargetCluster) bool { return c.Name == "a" }),
			deleted:    len(spec.Tombstones) > 0,
		}
	}
	toggle := rest.DefaultUpdatedObjectInfo(nil, func(_ context.Context, _, old runtime.Object) (runtime.Object, error) {
		updated := old.DeepCopyObject().(*work.ResourceBinding)
		to := []work.TargetCluster{{Name: "a", Replicas: 2}, {Name: "b", Replicas: 2}}
		if len(updated.Spec.Clusters) == 2 {
			to = to[1:]
		}
		updated.Spec.Clusters, updated.Spec.Replicas = to, int32(2*len(to))
		return updated, nil
	})

	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a test that can be repeated
	history, at := []seen{look()}, 0
	present := true
	var late []workv1alpha1.FeedbackItem
	buriedSome := 0
	for step := range 800 {
		switch random.IntN(8) {
		case 0: // the scheduler moves it
			if _, _, err := namespaced.Binding.Update(inNamespace, web.Name, toggle, rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc, false, &metav1.UpdateOptions{}); err != nil {
				t.Fatal(err)
			}
			history = append(history, look())
		case 1, 2, 3, 4: // the syncer takes one more step after what happened
			if at++; at >= len(history) {
				at = len(history) - 1
			}
			switch now := history[at]; {
			case now.deleted:
				present = false
				item := buried("u1")
				item.BindingGeneration = now.generation
				late = append(late, item)
			case now.wanted:
				present = true
			}
		default: // some confirmation arrives
			if len(late) == 0 {
				continue
			}
			before := look()
			if _, err := intake.Accept(ctx, "a", late[len(late)-1-random.IntN(min(len(late), 5)):][:1]); err != nil {
				t.Fatal(err)
			}
			after := look()
			if !before.deleted || after.deleted {
				continue
			}
			buriedSome++
			history = append(history, after)
			// What the syncer has not seen yet cannot make the object: it is not wanted.
			if present {
				t.Fatalf("step %d: the tombstone was taken away though the member has the object", step)
			}
		}
	}
	if buriedSome < 10 {
		t.Errorf("only %d tombstones were confirmed: the test shows nothing", buriedSome)
	}
}
