// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package rebalance

import (
	"context"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/utils/clock"

	appsv1alpha1 "fleet.dev/fleet/pkg/apis/apps/v1alpha1"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/controllers/cluster"
	fleetfake "fleet.dev/fleet/pkg/generated/clientset/versioned/fake"
	fleetinformers "fleet.dev/fleet/pkg/generated/informers/externalversions"
)

var (
	web    = appsv1alpha1.ObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "shop", Name: "web"}
	api    = appsv1alpha1.ObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "shop", Name: "api"}
	reader = appsv1alpha1.ObjectReference{APIVersion: "rbac.authorization.k8s.io/v1", Kind: "ClusterRole", Name: "reader"}
)

// rig is a running controller on a fake API server, in a bubble of fake time.
type rig struct {
	*testing.T
	fleet    *fleetfake.Clientset
	versions int
	refuse   error // what the next patch of a binding is answered with
}

func run(t *testing.T, test func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		r := &rig{T: t, fleet: fleetfake.NewClientset()}
		r.fleet.PrependReactor("patch", "*", func(action clienttesting.Action) (bool, runtime.Object, error) {
			if err := r.refuse; err != nil {
				r.refuse = nil
				return true, nil, err
			}
			return r.versioned(action)
		})
		r.fleet.PrependReactor("update", "workloadrebalancers", r.versioned)
		informers := fleetinformers.NewSharedInformerFactoryWithOptions(r.fleet, 0, fleetinformers.WithTransform(cluster.Trim))
		controller, err := New(Dependencies{FleetClient: r.fleet, FleetInformers: informers, Clock: clock.RealClock{}})
		if err != nil {
			t.Fatal(err)
		}
		informers.Start(ctx.Done())
		done := make(chan struct{})
		go func() { defer close(done); controller.Run(ctx) }()
		// Fakes hand their own objects, not copies, to an informer that still
		// lists, and Trim would change those.
		r.pass(time.Second)
		test(r)
		cancel()
		<-done
		informers.Shutdown()
	})
}

// versioned does what an action asks for and gives the object another version, as a
// server does.
func (r *rig) versioned(action clienttesting.Action) (bool, runtime.Object, error) {
	_, object, err := clienttesting.ObjectReaction(r.fleet.Tracker())(action)
	if err != nil {
		return true, nil, err
	}
	changed, err := meta.Accessor(object)
	if err != nil {
		return true, nil, err
	}
	changed.SetResourceVersion(r.version())
	return true, object, r.fleet.Tracker().Update(action.GetResource(), object, action.GetNamespace())
}

func (r *rig) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// bound makes the binding of a workload, as a decision leaves it.
func (r *rig) bound(workload appsv1alpha1.ObjectReference) {
	r.Helper()
	var err error
	if workload.Namespace == "" {
		_, err = r.fleet.WorkV1alpha1().ClusterResourceBindings().Create(r.Context(), &workv1alpha1.ClusterResourceBinding{
			ObjectMeta: metav1.ObjectMeta{Name: "reader-clusterrole", UID: "reader", Generation: 1, ResourceVersion: r.version()},
		}, metav1.CreateOptions{})
	} else {
		_, err = r.fleet.WorkV1alpha1().ResourceBindings(workload.Namespace).Create(r.Context(), &workv1alpha1.ResourceBinding{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: workload.Namespace, Name: workload.Name + "-deployment", UID: "uid", Generation: 1, ResourceVersion: r.version(),
			},
		}, metav1.CreateOptions{})
	}
	if err != nil {
		r.Fatal(err)
	}
}

func (r *rig) version() string {
	r.versions++
	return strconv.Itoa(r.versions)
}

func (r *rig) binding(name string) *workv1alpha1.ResourceBinding {
	r.Helper()
	binding, err := r.fleet.WorkV1alpha1().ResourceBindings("shop").Get(r.Context(), name, metav1.GetOptions{})
	if err != nil {
		r.Fatal(err)
	}
	return binding
}

// change changes a binding as others do.
func (r *rig) change(name string, change func(*workv1alpha1.ResourceBinding)) {
	r.Helper()
	binding := r.binding(name)
	change(binding)
	binding.ResourceVersion = r.version()
	if _, err := r.fleet.WorkV1alpha1().ResourceBindings("shop").Update(r.Context(), binding, metav1.UpdateOptions{}); err != nil {
		r.Fatal(err)
	}
	r.pass(time.Second)
}

// scheduled is what the scheduler says when it decided anew.
func scheduled(b *workv1alpha1.ResourceBinding) {
	b.Status.LastScheduledTime = b.Spec.RescheduleTriggeredAt
}

// unscheduled is what the scheduler says when it cannot, about a generation.
func unscheduled(generation int64) func(*workv1alpha1.ResourceBinding) {
	return func(b *workv1alpha1.ResourceBinding) {
		b.Generation = 2
		meta.SetStatusCondition(&b.Status.Conditions, metav1.Condition{
			Type: workv1alpha1.ConditionScheduled, Status: metav1.ConditionFalse, Reason: workv1alpha1.ReasonUnschedulable, ObservedGeneration: generation,
		})
	}
}

// rebalance makes a WorkloadRebalancer.
func (r *rig) rebalance(ttl *int32, workloads ...appsv1alpha1.ObjectReference) {
	r.Helper()
	_, err := r.fleet.AppsV1alpha1().WorkloadRebalancers().Create(r.Context(), &appsv1alpha1.WorkloadRebalancer{
		ObjectMeta: metav1.ObjectMeta{Name: "monday", UID: "monday", Generation: 1, ResourceVersion: r.version()},
		Spec:       appsv1alpha1.WorkloadRebalancerSpec{Workloads: workloads, TTLSecondsAfterFinished: ttl},
	}, metav1.CreateOptions{})
	if err != nil {
		r.Fatal(err)
	}
	r.pass(time.Second)
}

// want compares the results: "-" stands for none yet.
func (r *rig) want(reason string, want ...string) *appsv1alpha1.WorkloadRebalancer {
	r.Helper()
	got, err := r.fleet.AppsV1alpha1().WorkloadRebalancers().Get(r.Context(), "monday", metav1.GetOptions{})
	if err != nil {
		r.Fatal(err)
	}
	var results []string
	for _, o := range got.Status.ObservedWorkloads {
		text := o.Workload.Name + " " + string(o.Result)
		if o.Result == "" {
			text = o.Workload.Name + " -"
		}
		if o.Reason != "" {
			text += " " + o.Reason
		}
		results = append(results, text)
	}
	if diff := cmp.Diff(want, results); diff != "" {
		r.Errorf("\n%s\nresults: -want, +got:\n%s", reason, diff)
	}
	return got
}

// writes counts what was written since, and forgets it.
func (r *rig) writes() (n int) {
	for _, action := range r.fleet.Actions() {
		switch action.GetVerb() {
		case "patch", "update", "delete":
			n++
		}
	}
	r.fleet.ClearActions()
	return n
}

func TestRebalance(t *testing.T) {
	run(t, func(r *rig) {
		r.bound(web)
		r.bound(reader)
		r.pass(time.Second)
		r.writes()
		r.rebalance(nil, web, api, reader)
		got := r.want("Two are asked about, one does not exist.", "web -", "api Failed ReferencedBindingNotFound", "reader -")
		if got.Status.FinishTime != nil || got.Status.ObservedGeneration != 1 {
			r.Errorf("want it observed and not finished, got %+v", got.Status)
		}
		if n := r.writes(); n != 3 {
			r.Errorf("want one write for each that is asked about and one for the status, got %d", n)
		}
		asked := r.binding("web-deployment").Spec.RescheduleTriggeredAt
		if asked == nil || time.Since(asked.Time) > 3*time.Second {
			r.Errorf("want it asked now, got %v", asked)
		}
		r.pass(time.Hour)
		if n := r.writes(); n > 0 {
			r.Errorf("want nothing written while the scheduler has not decided, got %d", n)
		}

		r.change("web-deployment", scheduled)
		r.want("It decided about one.", "web Successful", "api Failed ReferencedBindingNotFound", "reader -")

		role, err := r.fleet.WorkV1alpha1().ClusterResourceBindings().Get(r.Context(), "reader-clusterrole", metav1.GetOptions{})
		if err != nil {
			r.Fatal(err)
		}
		role.Status.LastScheduledTime, role.ResourceVersion = role.Spec.RescheduleTriggeredAt, r.version()
		if _, err := r.fleet.WorkV1alpha1().ClusterResourceBindings().Update(r.Context(), role, metav1.UpdateOptions{}); err != nil {
			r.Fatal(err)
		}
		r.pass(time.Second)
		got = r.want("About both.", "web Successful", "api Failed ReferencedBindingNotFound", "reader Successful")
		if got.Status.FinishTime == nil {
			r.Error("want it finished")
		}
		r.bound(api)
		r.pass(time.Hour)
		r.want("A result stays.", "web Successful", "api Failed ReferencedBindingNotFound", "reader Successful")
	})
}

func TestRebalanceFails(t *testing.T) {
	run(t, func(r *rig) {
		r.bound(web)
		r.bound(api)
		r.change("api-deployment", func(b *workv1alpha1.ResourceBinding) {
			b.Spec.Suspension = &workv1alpha1.Suspension{Scheduling: new(true)}
		})
		r.refuse = apierrors.NewConflict(workv1alpha1.Resource("resourcebindings"), "web-deployment", nil)
		r.rebalance(nil, web, api)
		r.pass(time.Minute)
		r.want("What could not be asked is asked again.", "web -", "api Failed SchedulingSuspended")
		r.change("web-deployment", unscheduled(1))
		r.want("That it could not be placed before says nothing.", "web -", "api Failed SchedulingSuspended")
		r.change("web-deployment", unscheduled(2))
		got := r.want("It cannot be placed now.", "web Failed Unschedulable", "api Failed SchedulingSuspended")
		if got.Status.FinishTime == nil {
			r.Error("want it finished")
		}
	})
}

// TestRebalanceAgain: a workload that was decided about in this very second, and by
// an earlier WorkloadRebalancer, is decided about once more.
func TestRebalanceAgain(t *testing.T) {
	run(t, func(r *rig) {
		r.bound(web)
		before := metav1.NewTime(time.Now().Add(time.Second).Truncate(time.Second))
		r.change("web-deployment", func(b *workv1alpha1.ResourceBinding) {
			b.Spec.RescheduleTriggeredAt, b.Status.LastScheduledTime = &before, &before
		})
		r.rebalance(nil, web)
		r.want("It was not decided since it was asked about.", "web -")
		if asked := r.binding("web-deployment").Spec.RescheduleTriggeredAt; !asked.After(before.Time) {
			r.Errorf("want it asked after %s, got %s", before, asked)
		}
	})
}

// TestWorkloadsAreAdded: what is added later is asked about then, and the others are not
// asked about again.
func TestWorkloadsAreAdded(t *testing.T) {
	run(t, func(r *rig) {
		r.bound(web)
		r.bound(api)
		r.rebalance(nil, web)
		r.change("web-deployment", scheduled)
		got := r.want("It is finished.", "web Successful")
		asked := r.binding("web-deployment").Spec.RescheduleTriggeredAt
		r.pass(time.Hour)
		got.Spec.Workloads = append(got.Spec.Workloads, api)
		got.Generation, got.ResourceVersion = 2, r.version()
		if _, err := r.fleet.AppsV1alpha1().WorkloadRebalancers().Update(r.Context(), got, metav1.UpdateOptions{}); err != nil {
			r.Fatal(err)
		}
		r.pass(time.Second)
		if got = r.want("One is new.", "web Successful", "api -"); got.Status.FinishTime != nil {
			r.Error("want it not finished any more")
		}
		if again := r.binding("web-deployment").Spec.RescheduleTriggeredAt; !again.Equal(asked) {
			r.Errorf("want the first asked about once, at %s, got %s", asked, again)
		}
		r.change("api-deployment", scheduled)
		if got = r.want("Both are decided.", "web Successful", "api Successful"); got.Status.FinishTime == nil {
			r.Error("want it finished again")
		}
	})
}

func TestTimeToLive(t *testing.T) {
	run(t, func(r *rig) {
		r.bound(web)
		r.rebalance(new(int32(60)), web)
		r.pass(time.Hour)
		r.want("It has not finished.", "web -")
		r.change("web-deployment", scheduled)
		r.pass(50 * time.Second)
		r.want("It finished.", "web Successful")
		r.pass(15 * time.Second)
		if _, err := r.fleet.AppsV1alpha1().WorkloadRebalancers().Get(r.Context(), "monday", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			r.Errorf("want it deleted, got %v", err)
		}
	})
}
