// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
)

var updateDocs = flag.Bool("update-docs", false, "rewrite the documents that are generated from tests")

// place is where a user reads why something is refused.
type place string

const (
	inKubectl   place = "the answer to the client"
	inReport    place = "binding, `status.aggregatedStatus`"
	inApplied   place = "binding, condition `FullyApplied`"
	inScheduled place = "binding, condition `Scheduled`"
	inDrifted   place = "binding, condition `Drifted`"
	inEvents    place = "Event on the object"
	inExplain   place = "`fleet explain`"
	inDiff      place = "`fleet diff`"
)

// refusalCase is a case in which something is not done that somebody wants.
type refusalCase struct {
	// when says what is wanted, and why it is not done. Documentation has it.
	when string
	// prepare makes things so. Optional.
	prepare func(t *testing.T, s *space)
	// object is what it is about, as kind/name.
	object string
	// manifest is applied, or args are what kubectl is run with.
	manifest string
	args     []string
	// told are the places where the reason is, and words of it. If the first is the
	// answer to the client, the command fails.
	told []telling
	// lift ends it, then looks whether what was wanted is done. Optional.
	lift func(t *testing.T, s *space)
}

// telling is where a user reads a reason, and words of it.
type telling struct {
	place place
	words string
}

// TestRefusals: whatever is refused, by the fleet or by a member, a user finds the
// reason where docs/refusals.md says.
func TestRefusals(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	// Cases put things beside it into the namespace in the member.
	s.mustApply(t, toMember("v1", "ConfigMap", "anchor", "")+"---\n"+configMap("anchor", "key: value"))
	eventually(t, propagation, "the namespace in the member", func(ctx context.Context) error {
		_, err := bed.members[0].memberClient.CoreV1().ConfigMaps(s.namespace).Get(ctx, "anchor", metav1.GetOptions{})
		return err
	})
	t.Run("Cases", func(t *testing.T) {
		for name, tc := range refusals {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				tc.run(t, s)
			})
		}
	})
}

func (r refusalCase) run(t *testing.T, s *space) {
	t.Helper()
	if r.prepare != nil {
		r.prepare(t, s)
	}
	args := r.args
	if args == nil {
		args = []string{"apply", "-f", "-"}
	}
	out := s.kubectlStdin(t, r.manifest, args...)
	told := r.told
	if told[0].place == inKubectl {
		if out.code == 0 || !strings.Contains(out.stderr, told[0].words) {
			t.Errorf("%s: want an error with %q, got %d %s%s", r.when, told[0].words, out.code, out.stdout, out.stderr)
		}
		told = told[1:]
	} else if out.code != 0 {
		t.Fatalf("kubectl %s: exit status %d\n%s", strings.Join(args, " "), out.code, out.stderr)
	}
	for _, one := range told {
		eventually(t, propagation, fmt.Sprintf("%s: %s to say %q", r.when, one.place, one.words), func(ctx context.Context) error {
			said, err := s.said(ctx, t, one.place, r.object)
			if err == nil && !strings.Contains(said, one.words) {
				err = fmt.Errorf("it says %q", said)
			}
			return err
		})
	}
	if r.lift != nil {
		r.lift(t, s)
	}
}

// said returns what is said about an object in a place.
func (s *space) said(ctx context.Context, t *testing.T, at place, object string) (string, error) {
	t.Helper()
	kind, name, _ := strings.Cut(object, "/")
	switch at {
	case inEvents:
		return s.eventsOf(ctx, name)
	case inExplain, inDiff:
		verb := map[place]string{inExplain: "explain", inDiff: "diff"}[at]
		out := s.run(t, "fleet", verb, object, "--namespace", s.namespace)
		return out.stdout + out.stderr, nil
	}
	binding, err := s.bindingOf(ctx, t, kind, name)
	if err != nil {
		return "", err
	}
	if at == inReport {
		return reports(binding), nil
	}
	types := map[place]string{inApplied: workv1alpha1.ConditionFullyApplied, inScheduled: workv1alpha1.ConditionScheduled, inDrifted: workv1alpha1.ConditionDrifted}
	condition := meta.FindStatusCondition(binding.Status.Conditions, types[at])
	if condition == nil {
		return "", fmt.Errorf("there is no condition %s", types[at])
	}
	return fmt.Sprintf("%s %s: %s", condition.Status, condition.Reason, condition.Message), nil
}

// bindingOf returns the binding of an object, whatever it is called.
func (s *space) bindingOf(ctx context.Context, t *testing.T, kind, name string) (*workv1alpha1.ResourceBinding, error) {
	t.Helper()
	bindings, err := fleetAPI(t).WorkV1alpha1().ResourceBindings(s.namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	for i := range bindings.Items {
		if of := bindings.Items[i].Spec.Resource; strings.EqualFold(of.Kind, kind) && of.Name == name {
			return &bindings.Items[i], nil
		}
	}
	return nil, errNoBinding
}

var errNoBinding = errors.New("there is no binding")

// reports are what members said, a line each.
func reports(binding *workv1alpha1.ResourceBinding) string {
	var lines []string
	for _, item := range binding.Status.AggregatedStatus {
		lines = append(lines, fmt.Sprintf("%s: %s: %s", item.ClusterName, item.AppliedReason, item.AppliedMessage))
	}
	return strings.Join(lines, "\n")
}

// eventsOf are the Events about objects of the name, a line each.
func (s *space) eventsOf(ctx context.Context, name string) (string, error) {
	events, err := s.kube.CoreV1().Events(s.namespace).List(ctx, metav1.ListOptions{FieldSelector: "involvedObject.name=" + name})
	if err != nil {
		return "", err
	}
	var lines []string
	for _, event := range events.Items {
		lines = append(lines, fmt.Sprintf("%s %s: %s", event.Type, event.Reason, event.Message))
	}
	return strings.Join(lines, "\n"), nil
}

func (s *space) mustApply(t *testing.T, manifest string) {
	t.Helper()
	if out := s.kubectlStdin(t, manifest, "apply", "-f", "-"); out.code != 0 {
		t.Fatalf("apply: exit status %d\n%s", out.code, out.stderr)
	}
}

// awaitDenied waits until the fleet refuses to create what an admission of its refuses:
// that begins some time after the admission was made.
func (s *space) awaitDenied(t *testing.T, manifest string) {
	t.Helper()
	eventually(t, propagation, "the admission to act", func(context.Context) error {
		if out := s.kubectlStdin(t, manifest, "create", "--dry-run=server", "-f", "-"); out.code == 0 {
			return errors.New("it does not")
		}
		return nil
	})
}

// onMember is kubectl in a member, with a manifest on its standard input. What it makes
// goes when the test ends.
func (s *space) onMember(t *testing.T, manifest string) {
	t.Helper()
	member := &space{command: command{kubeconfig: bed.members[0].Kubeconfig()}, namespace: s.namespace}
	member.mustApply(t, manifest)
	t.Cleanup(func() {
		if out := member.kubectlStdin(t, manifest, "delete", "--ignore-not-found", "-f", "-"); out.code != 0 {
			t.Errorf("clean up in the member: exit status %d\n%s", out.code, out.stderr)
		}
	})
}

// offMember is the contrary of onMember.
func (s *space) offMember(t *testing.T, manifest string) {
	t.Helper()
	member := &space{command: command{kubeconfig: bed.members[0].Kubeconfig()}, namespace: s.namespace}
	if out := member.kubectlStdin(t, manifest, "delete", "-f", "-"); out.code != 0 {
		t.Fatalf("delete in the member: exit status %d\n%s", out.code, out.stderr)
	}
}

// awaitApplied waits until a member has what is wanted.
func (s *space) awaitApplied(t *testing.T, object string) {
	t.Helper()
	eventually(t, 2*propagation, object+" to be applied", func(ctx context.Context) error {
		said, err := s.said(ctx, t, inReport, object)
		if err == nil && !strings.Contains(said, "member1: "+workv1alpha1.AppliedReasonSuccess) {
			err = fmt.Errorf("it says %q", said)
		}
		return err
	})
}

// awaitForgotten waits until nothing of a deleted object is left in the fleet.
func (s *space) awaitForgotten(t *testing.T, kind, name string) {
	t.Helper()
	eventually(t, 2*propagation, "the binding to go", func(ctx context.Context) error {
		binding, err := s.bindingOf(ctx, t, kind, name)
		switch {
		case errors.Is(err, errNoBinding):
			return nil
		case err != nil:
			return err
		}
		return fmt.Errorf("it is there: %s", reports(binding))
	})
}

// TestRefusalsDocument: docs/refusals.md says what the cases show.
func TestRefusalsDocument(t *testing.T) {
	t.Parallel()
	file := filepath.Join(bed.repo, "docs", "refusals.md")
	want := refusalsDocument()
	if *updateDocs {
		if err := os.WriteFile(file, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("docs/refusals.md, to be written by go test ./test/e2e -run Document -update-docs: -want +got:\n%s", diff)
	}
}

const refusalsIntroduction = `<!-- Generated by test/e2e/refusals_test.go from the cases it runs. -->
# Where to read why something is refused

What the fleet itself refuses, it refuses as any cluster does: the client has the answer. What a member refuses is
known later. The template stays as its author wants it, other members are not concerned, and the member's words are

- in an Event on the object, which ` + "`kubectl describe`" + ` shows, once for each new refusal;
- in the object's binding (` + "`kubectl get rb NAME-KIND -o yaml`" + `): what each member said last, with a reason for programs,
  in ` + "`status.aggregatedStatus[].appliedReason`" + ` and ` + "`appliedMessage`" + `, and the sum of it in condition ` + "`FullyApplied`" + `;
- in ` + "`fleet explain KIND/NAME`" + `.

The fleet tries again by itself, after 5 seconds first and less and less often, up to every 5 minutes; after a change of the object
or of what is wanted, at once. What has to change in a member is for its administrators. A field that a member takes for immutable can only
be changed by deleting the object there and creating it anew. The fleet does that where the policy says
` + "`recreatePolicy: OnImmutableChange`" + `, and never with what holds data, was there before the fleet or is protected against deletion.
It asks the member first, by a dry run under another name, and deletes nothing that would not be taken anew.

| when | it says | where |
|---|---|---|
`

// refusalsDocument is what the document has to be.
func refusalsDocument() string {
	var out strings.Builder
	out.WriteString(refusalsIntroduction)
	for _, name := range slices.SortedFunc(maps.Keys(refusals), func(a, b string) int {
		return strings.Compare(refusals[a].when, refusals[b].when)
	}) {
		tc := refusals[name]
		for i, one := range tc.told {
			when := tc.when
			if i > 0 {
				when = ""
			}
			fmt.Fprintf(&out, "| %s | `%s` | %s |\n", when, strings.ReplaceAll(one.words, "|", `\|`), one.place)
		}
	}
	return out.String()
}
