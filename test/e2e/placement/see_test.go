// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/util/jsonpath"

	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
)

// check says what is not as it should be, nil when all is.
type check func(ctx context.Context, s *story) error

// see waits until all checks agree at once.
func see(checks ...check) step { return seeWithin(patience, checks...) }

// seeWithin is see of what has reason to take longer.
func seeWithin(limit time.Duration, checks ...check) step {
	return func(t *testing.T, s *story) {
		t.Helper()
		eventually(t, limit, "what the case wants to see", func(ctx context.Context) error { return s.all(ctx, checks) })
	}
}

// stays has all checks agree now and for a while. What comes before it in a case
// shows that the scheduler had its chance.
func stays(checks ...check) step {
	return func(t *testing.T, s *story) {
		t.Helper()
		throughout(t, calm, "what is to stay", func(ctx context.Context) error { return s.all(ctx, checks) })
	}
}

func (s *story) all(ctx context.Context, checks []check) error {
	for _, check := range checks {
		if err := check(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// on is what members have: their replicas, 0 where that does not matter.
type on map[string]int

// everywhere is every member that takes what tolerates nothing.
var everywhere = on{alpha: 0, bravo: 0, charlie: 0}

func (o on) String() string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(o)) {
		out = append(out, fmt.Sprintf("%s:%d", name, o[name]))
	}
	return "[" + strings.Join(out, " ") + "]"
}

// placed checks that an object is in exactly these members, in the binding and in
// truth, each with its replicas.
func placed(ref string, want on) check {
	return func(ctx context.Context, s *story) error {
		got, err := s.placement(ctx, parse(ref))
		if err != nil {
			return err
		}
		return want.compare(ref, got)
	}
}

func (o on) compare(ref string, got on) error {
	same := len(o) == len(got)
	for name, n := range o {
		replicas, ok := got[name]
		same = same && ok && (n == 0 || n == replicas)
	}
	if !same {
		return fmt.Errorf("%s is on %s, want %s", ref, got, o)
	}
	return nil
}

// placement is where an object is. It fails while binding and members do not agree.
func (s *story) placement(ctx context.Context, r reference) (on, error) {
	decided, err := s.decided(ctx, r)
	if err != nil {
		return nil, err
	}
	got := on{}
	for _, m := range bed.members {
		found, err := s.in(ctx, m.memberObjects, r)
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read from %s: %w", m.Name(), err)
		}
		got[m.Name()] = replicasOf(found)
	}
	for name := range got {
		if _, ok := decided[name]; !ok {
			return nil, fmt.Errorf("%s has it, the binding says %s", name, decided)
		}
	}
	for name, n := range decided {
		if replicas, ok := got[name]; !ok || n > 0 && replicas > 0 && n != replicas {
			return nil, fmt.Errorf("the binding says %s, members have %s", decided, got)
		}
	}
	return got, nil
}

// decided is where the binding says an object is, itself or for others.
func (s *story) decided(ctx context.Context, r reference) (on, error) {
	out := on{}
	binding, err := s.binding(ctx, r)
	if apierrors.IsNotFound(err) {
		return out, nil
	}
	if err != nil {
		return nil, err
	}
	for _, needed := range binding.GetSpec().RequiredBy {
		for _, cluster := range needed.Clusters {
			out[cluster.Name] = 0
		}
	}
	for _, cluster := range binding.GetSpec().Clusters {
		out[cluster.Name] = int(cluster.Replicas)
	}
	return out, nil
}

// binding reads the binding of an object.
func (s *story) binding(ctx context.Context, r reference) (workv1alpha1.Binding, error) {
	if r.resource.namespaced {
		return bed.fleetAPI.WorkV1alpha1().ResourceBindings(s.namespace).Get(ctx, s.bindingOf(r), metav1.GetOptions{})
	}
	return bed.fleetAPI.WorkV1alpha1().ClusterResourceBindings().Get(ctx, s.bindingOf(r), metav1.GetOptions{})
}

// in reads an object from fleet or member.
func (s *story) in(ctx context.Context, from dynamic.Interface, r reference) (*unstructured.Unstructured, error) {
	return from.Resource(r.resource.gvr).Namespace(s.namespaceFor(r)).Get(ctx, s.fill(r.name), metav1.GetOptions{})
}

// replicasOf are the Pods an object asks for, 0 when it does not say.
func replicasOf(o *unstructured.Unstructured) int {
	field := "replicas"
	if o.GetKind() == "Job" {
		field = "parallelism"
	}
	n, _, err := unstructured.NestedInt64(o.Object, "spec", field)
	if err != nil {
		return 0
	}
	return int(n)
}

// sums checks that an object is on these members, whichever if none are given, with
// so many replicas in sum.
func sums(ref string, want int, members ...string) check {
	return func(ctx context.Context, s *story) error {
		got, err := s.placement(ctx, parse(ref))
		if err != nil {
			return err
		}
		sum := 0
		for _, n := range got {
			sum += n
		}
		if len(members) > 0 && !slices.Equal(slices.Sorted(maps.Keys(got)), members) || sum != want {
			return fmt.Errorf("%s is on %s, want %d on %s", ref, got, want, members)
		}
		return nil
	}
}

// onOne checks that an object is on one member, whichever.
func onOne(ref string) check { return onSome(ref, 1) }

// onSome checks that an object is on n members, those given among them.
func onSome(ref string, n int, members ...string) check {
	return func(ctx context.Context, s *story) error {
		got, err := s.placement(ctx, parse(ref))
		if err != nil {
			return err
		}
		missing := slices.ContainsFunc(members, func(name string) bool { _, ok := got[name]; return !ok })
		if missing || len(got) != n {
			return fmt.Errorf("%s is on %s, want %d members and %s among them", ref, got, n, members)
		}
		return nil
	}
}

// decidedOn checks where the binding says an object is to be, and that only some of
// these members have it.
func decidedOn(ref string, want on, have ...string) check {
	return func(ctx context.Context, s *story) error {
		decided, err := s.decided(ctx, parse(ref))
		if err != nil {
			return err
		}
		if err := want.compare(ref, decided); err != nil {
			return err
		}
		for _, m := range bed.members {
			_, err := s.in(ctx, m.memberObjects, parse(ref))
			if err != nil && !apierrors.IsNotFound(err) {
				return err
			}
			if has := err == nil; has != slices.Contains(have, m.Name()) {
				return fmt.Errorf("that %s has %s is %t", m.Name(), ref, has)
			}
		}
		return nil
	}
}

// alike checks that two objects are on the same members.
func alike(one, other string) check {
	return func(ctx context.Context, s *story) error {
		first, err := s.placement(ctx, parse(one))
		if err != nil {
			return err
		}
		second, err := s.placement(ctx, parse(other))
		if err != nil {
			return err
		}
		if len(first) == 0 || !slices.Equal(slices.Sorted(maps.Keys(first)), slices.Sorted(maps.Keys(second))) {
			return fmt.Errorf("%s is on %s, %s on %s", one, first, other, second)
		}
		return nil
	}
}

// nowhere checks that an object is in no member and that nobody decided that it be.
func nowhere(refs ...string) check {
	return func(ctx context.Context, s *story) error {
		for _, ref := range refs {
			if err := placed(ref, on{})(ctx, s); err != nil {
				return err
			}
		}
		return nil
	}
}

// theFleet is where to look for templates in field.
const theFleet = "the fleet"

// field checks a value of an object in a member or in the fleet, by a path in the
// manner of "kubectl get -o jsonpath".
func field(where, ref, path, want string) check {
	return func(ctx context.Context, s *story) error {
		from := bed.fleetObjects
		if where != theFleet {
			from = memberNamed(where).memberObjects
		}
		found, err := s.in(ctx, from, parse(ref))
		if err != nil {
			return fmt.Errorf("read from %s: %w", where, err)
		}
		got, err := valueAt(found, s.fill(path))
		if err != nil {
			return err
		}
		if want = s.fill(want); got != want {
			return fmt.Errorf("in %s, %s of %s is %q, want %q", where, path, ref, got, want)
		}
		return nil
	}
}

func valueAt(o *unstructured.Unstructured, path string) (string, error) {
	parser := jsonpath.New("field").AllowMissingKeys(true)
	if err := parser.Parse("{" + path + "}"); err != nil {
		return "", err
	}
	var out bytes.Buffer
	if err := parser.Execute(&out, o.Object); err != nil {
		return "", err
	}
	return out.String(), nil
}

// image is where workloads say what they run.
const image = ".spec.template.spec.containers[0].image"

// available checks that the template says that all its Pods run.
func available(ref, n string) check { return field(theFleet, ref, ".status.availableReplicas", n) }

// follows checks which policy an object follows; $NS stands for the namespace.
func follows(ref, policy string) check {
	return func(ctx context.Context, s *story) error {
		binding, err := s.binding(ctx, parse(ref))
		if err != nil {
			return err
		}
		if p := binding.GetSpec().Policy; p == nil || p.Name != s.fill(policy) {
			return fmt.Errorf("%s follows %v, want %s", ref, p, s.fill(policy))
		}
		return nil
	}
}

// scheduled checks the condition Scheduled of an object: "True Success", or
// "False" with its reason; and that its message has what is wanted.
func scheduled(ref, want, message string) check {
	return condition(ref, workv1alpha1.ConditionScheduled, want, message)
}

// condition checks a condition of a binding.
func condition(ref, name, want, message string) check {
	return func(ctx context.Context, s *story) error {
		binding, err := s.binding(ctx, parse(ref))
		if err != nil {
			return err
		}
		found := meta.FindStatusCondition(binding.GetStatus().Conditions, name)
		if found == nil {
			return fmt.Errorf("the binding of %s has no condition %s", ref, name)
		}
		if got := string(found.Status) + " " + found.Reason; got != want || !strings.Contains(found.Message, s.fill(message)) {
			return fmt.Errorf("%s of %s is %s: %s; want %s: %s", name, ref, got, found.Message, want, message)
		}
		return nil
	}
}

// because checks what the binding says about each member that was refused.
func because(ref string, want map[string]string) check {
	return func(ctx context.Context, s *story) error {
		binding, err := s.binding(ctx, parse(ref))
		if err != nil {
			return err
		}
		got := map[string]string{}
		for _, reason := range binding.GetStatus().Reasons {
			got[reason.ClusterName] = reason.Message
		}
		if !maps.Equal(got, want) {
			return fmt.Errorf("members are refused because %v, want %v", got, want)
		}
		return nil
	}
}

// event checks that somebody told about an object.
func event(ref, reason, note string) check {
	return func(ctx context.Context, s *story) error {
		r := parse(ref)
		events, err := bed.fleetKube.EventsV1().Events(s.namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		var seen []string
		for _, e := range events.Items {
			if e.Regarding.Kind != r.resource.kind.Kind || e.Regarding.Name != r.name {
				continue
			}
			if e.Reason == reason && strings.Contains(e.Note, s.fill(note)) {
				return nil
			}
			seen = append(seen, e.Reason+": "+e.Note)
		}
		return fmt.Errorf("no event %s about %s: %q, but %q", reason, ref, note, seen)
	}
}

// dump logs what a person would look at first.
func (s *story) dump(ctx context.Context, t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for _, command := range []string{
		"kubectl get all,configmaps,events,propagationpolicies,overridepolicies -o wide",
		"kubectl get resourcebindings -o yaml",
		"kubectl get clusters -o wide",
		"kubectl get clusters -o jsonpath={.items[*].status.capacity}",
	} {
		out, err := s.run(ctx, "", strings.Fields(command)...)
		t.Logf("%s:\n%s%v", command, out, errors.Join(err))
	}
}

// disjoint checks that the Pods of a StatefulSet run under n names in all members
// together, each name once.
func disjoint(ref string, n int) check {
	return func(ctx context.Context, s *story) error {
		names := map[string]string{}
		for _, m := range bed.members {
			pods, err := m.memberObjects.Resource(parse("pod/").resource.gvr).Namespace(s.namespace).List(ctx, metav1.ListOptions{LabelSelector: "app=" + parse(ref).name})
			if err != nil {
				return err
			}
			for _, pod := range pods.Items {
				if other, ok := names[pod.GetName()]; ok {
					return fmt.Errorf("pod %s is in %s and in %s", pod.GetName(), other, m.Name())
				}
				names[pod.GetName()] = m.Name()
			}
		}
		if len(names) != n {
			return fmt.Errorf("the pods of %s are %v, want %d", ref, names, n)
		}
		return nil
	}
}
