// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/test/e2e/witness"
)

const (
	// partition is how long the link is cut.
	partition = 60 * time.Second
	// unknownWithin is how soon the fleet must say that it does not know.
	unknownWithin = 40 * time.Second
	// arriveWithin is how soon what was changed meanwhile must be there afterwards.
	arriveWithin = 5 * time.Second
	// slowdown is how much slower the other members may get.
	slowdown = 1.5
	// samplePeriod is how long arrivals are measured before and after.
	samplePeriod = 15 * time.Second
	// sampleInterval is between two samples.
	sampleInterval = 200 * time.Millisecond
)

// TestPartition drops all packets between the fleet and a member, both ways, for a
// minute.
func TestPartition(t *testing.T) {
	s := newSpace(t)
	s.pinToEach(t)
	near, far := bed.members[0], bed.members[1]
	s.createPinned(t, far.Name(), "steady", 2)
	s.createPinned(t, far.Name(), "growing", 2)
	if err := s.createConfig(t.Context(), far.Name(), "settings", "old"); err != nil {
		t.Fatal(err)
	}
	eventually(t, propagation, "the configmap to be in the member", func(ctx context.Context) error {
		return s.checkConfig(ctx, far, "settings", "old")
	})
	pods, err := s.runningPods(t.Context(), far)
	if err != nil {
		t.Fatal(err)
	}
	mark, err := far.audit.Mark()
	if err != nil {
		t.Fatal(err)
	}
	arrivals := s.newArrivals(t, near)
	quiet := arrivals.during(t, samplePeriod)

	link := far.Link()
	if err := link.Cut(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := link.Heal(); err != nil {
			t.Error(err)
		}
	})
	cut := time.Now()
	unknown := make(chan error, 1)
	go func() {
		unknown <- await(t.Context(), unknownWithin, func(ctx context.Context) error {
			return readiness(ctx, t, far, metav1.ConditionUnknown)
		})
		t.Logf("unknown %s after the cut", time.Since(cut).Round(100*time.Millisecond))
	}()
	busy := arrivals.during(t, partition-5*time.Second)
	if err := <-unknown; err != nil {
		t.Errorf("wait for %s to be called unknown: %v", far.Name(), err)
	}
	s.changeMeanwhile(t, far)
	<-time.After(time.Until(cut.Add(partition)))

	if err := link.Heal(); err != nil {
		t.Fatal(err)
	}
	healed := time.Now()
	if err := await(t.Context(), propagation, func(ctx context.Context) error { return s.checkArrived(ctx, far) }); err != nil {
		t.Errorf("what was changed meanwhile: %v", err)
	}
	if took := time.Since(healed); took > arriveWithin {
		t.Errorf("what was changed meanwhile arrived after %s, want %s", took, arriveWithin)
	} else {
		t.Logf("what was changed meanwhile arrived after %s", took.Round(10*time.Millisecond))
	}
	eventually(t, propagation, "the member to be ready", func(ctx context.Context) error {
		return readiness(ctx, t, far, metav1.ConditionTrue)
	})
	t.Logf("ready %s after the link was healed", time.Since(healed).Round(100*time.Millisecond))
	s.checkStillRun(t, far, pods)
	s.checkNothingDeleted(t, far, mark)

	quiet = quiet.and(arrivals.during(t, samplePeriod))
	checkUnaffected(t, near, far, quiet, busy)
}

// checkUnaffected compares how long what the fleet does takes with and without the
// partition, beyond what a direct write to the same member does in the same seconds:
// the machine is not always equally fast.
func checkUnaffected(t *testing.T, near, far *member, quiet, busy samples) {
	t.Helper()
	before, meanwhile := percentile(quiet.arrived, 90), percentile(busy.arrived, 90)
	machine := max(1, float64(percentile(busy.direct, 90))/float64(percentile(quiet.direct, 90)))
	t.Logf("create → applied in %s, p50 / p90: %s / %s of %d before and after, %s / %s of %d during the partition; direct writes p90 × %.2f", near.Name(),
		percentile(quiet.arrived, 50), before, len(quiet.arrived), percentile(busy.arrived, 50), meanwhile, len(busy.arrived), machine)
	if float64(meanwhile) > slowdown*machine*float64(before) {
		t.Errorf("a partition of %s is not the concern of %s: p90 of create → applied %s, without it %s", far.Name(), near.Name(), meanwhile, before)
	}
}

// readiness checks what the fleet says of a member.
func readiness(ctx context.Context, t *testing.T, m *member, want metav1.ConditionStatus) error {
	t.Helper()
	cluster, err := fleetAPI(t).ClusterV1alpha1().Clusters().Get(ctx, m.Name(), metav1.GetOptions{})
	if err != nil {
		return err
	}
	condition := meta.FindStatusCondition(cluster.Status.Conditions, clusterv1alpha1.ClusterConditionReady)
	switch {
	case condition == nil:
		return errors.New("it has no condition Ready")
	case condition.Status != want:
		return fmt.Errorf("it is %s: %s: %s", condition.Status, condition.Reason, condition.Message)
	case condition.Reason == "" || condition.Message == "":
		return fmt.Errorf("it is %s and does not say why: %q: %q", condition.Status, condition.Reason, condition.Message)
	}
	return nil
}

// changeMeanwhile changes things in the fleet that a member gets to know later.
func (s *space) changeMeanwhile(t *testing.T, m *member) {
	t.Helper()
	if err := s.changeConfig(t.Context(), "settings", "new"); err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		if err := s.createConfig(t.Context(), m.Name(), fmt.Sprintf("new-%d", i), "new"); err != nil {
			t.Fatal(err)
		}
	}
	s.kubectl(t, "scale", "deployment/growing", "--replicas=3")
}

// checkArrived checks that the changes of changeMeanwhile are in the member.
func (s *space) checkArrived(ctx context.Context, m *member) error {
	if err := s.checkConfig(ctx, m, "settings", "new"); err != nil {
		return err
	}
	for i := range 10 {
		if err := s.checkConfig(ctx, m, fmt.Sprintf("new-%d", i), "new"); err != nil {
			return err
		}
	}
	d, err := m.memberClient.AppsV1().Deployments(s.namespace).Get(ctx, "growing", metav1.GetOptions{})
	if err != nil {
		return err
	}
	if *d.Spec.Replicas != 3 {
		return fmt.Errorf("deployment growing has %d replicas", *d.Spec.Replicas)
	}
	return nil
}

// checkNothingDeleted checks that the fleet deleted nothing of the space in a
// member since a mark.
func (s *space) checkNothingDeleted(t *testing.T, m *member, mark witness.Mark) {
	t.Helper()
	deletes, err := m.audit.Since(mark, func(w witness.Write) bool {
		return w.Namespace == s.namespace && (w.Verb == "delete" || w.Verb == "deletecollection")
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(deletes) > 0 {
		t.Errorf("the fleet deleted in %s:\n%s", m.Name(), witness.Lines(deletes))
	}
}

// arrivals measures how long a ConfigMap takes from its creation in the fleet to a
// member, one at a time.
type arrivals struct {
	space *space
	home  *member
	seen  chan string
	count int
}

func (s *space) newArrivals(t *testing.T, home *member) *arrivals {
	t.Helper()
	// The namespace is in the member with the first object.
	if err := s.createConfig(t.Context(), home.Name(), "first", ""); err != nil {
		t.Fatal(err)
	}
	eventually(t, propagation, "the first configmap to arrive", func(ctx context.Context) error {
		return s.checkConfig(ctx, home, "first", "")
	})
	watcher, err := home.memberClient.CoreV1().ConfigMaps(s.namespace).Watch(t.Context(), metav1.ListOptions{LabelSelector: homeLabel + "=" + home.Name()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(watcher.Stop)
	a := &arrivals{space: s, home: home, seen: make(chan string, 1000)}
	go func() {
		for event := range watcher.ResultChan() {
			if object, err := meta.Accessor(event.Object); err == nil && event.Type == watch.Added {
				a.seen <- object.GetName()
			}
		}
	}()
	return a
}

// samples are durations that were measured in turn.
type samples struct {
	// arrived is from the creation in the fleet to the member, direct a creation in
	// the member.
	arrived, direct []time.Duration
}

func (s samples) and(more samples) samples {
	return samples{arrived: append(s.arrived, more.arrived...), direct: append(s.direct, more.direct...)}
}

// during measures for a while.
func (a *arrivals) during(t *testing.T, period time.Duration) (out samples) {
	t.Helper()
	for end := time.Now().Add(period); time.Now().Before(end); <-time.After(sampleInterval) {
		a.count++
		out.arrived = append(out.arrived, a.arrive(t, fmt.Sprintf("sample-%d", a.count)))
		out.direct = append(out.direct, a.write(t, fmt.Sprintf("%s-%d", a.space.namespace, a.count)))
	}
	return out
}

// arrive measures how long a ConfigMap takes to the member.
func (a *arrivals) arrive(t *testing.T, name string) time.Duration {
	t.Helper()
	began := time.Now()
	if err := a.space.createConfig(t.Context(), a.home.Name(), name, ""); err != nil {
		t.Fatal(err)
	}
	for arrived := ""; arrived != name; {
		select {
		case arrived = <-a.seen:
		case <-time.After(propagation):
			t.Fatalf("%s did not get configmap %s within %s", a.home.Name(), name, propagation)
		}
	}
	return time.Since(began)
}

// write measures how long a ConfigMap takes that is created in the member itself,
// and removes it.
func (a *arrivals) write(t *testing.T, name string) time.Duration {
	t.Helper()
	configMaps := a.home.memberClient.CoreV1().ConfigMaps(metav1.NamespaceDefault)
	began := time.Now()
	if _, err := configMaps.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	took := time.Since(began)
	if err := configMaps.Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	return took
}

// percentile is the sample of the nearest rank.
func percentile(samples []time.Duration, p int) time.Duration {
	sorted := slices.Sorted(slices.Values(samples))
	return sorted[(len(sorted)*p+99)/100-1].Round(100 * time.Microsecond)
}
