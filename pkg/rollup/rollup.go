// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package rollup

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"fleet.dev/fleet/pkg/health"
	"fleet.dev/fleet/pkg/interpreter"
)

// Member is what one member of the binding reported about the template's object.
type Member struct {
	// Cluster is the name of the member.
	Cluster string
	// Replicas is what the binding assigned to the member, 0 when the member runs
	// as many as the template says. Total is what the scheduler had to assign, the
	// binding's spec.replicas. Both are 0 for kinds without replicas.
	Replicas, Total int32
	// Applied says whether the member's object is as the work says.
	Applied bool
	// AppliedReason and AppliedMessage say why not; both are empty while the
	// member has not answered.
	AppliedReason, AppliedMessage string
	// Health is the verdict on the member's object.
	Health health.Health
	// Status is the .status of the member's object; nil while none was reported.
	// It is not modified.
	Status map[string]any
	// Unreachable says that nobody hears from the member, so that Status is what it was
	// when somebody did.
	Unreachable bool
	// TemplateGeneration is the generation of the template that Status reflects:
	// the member applied it, and its controllers observed what was applied.
	TemplateGeneration int64
}

// MemberError says that what one member reported could not be read.
type MemberError struct {
	// Cluster is the name of the member.
	Cluster string
	// Err says why.
	Err error
}

// Error names the member and the reason.
func (e *MemberError) Error() string {
	return fmt.Sprintf("read status from member %q: %v", e.Cluster, e.Err)
}

// Unwrap returns the reason.
func (e *MemberError) Unwrap() error { return e.Err }

// A rule makes the status of a template of one kind. Members are sorted by name.
type rule func(template *unstructured.Unstructured, members []Member, now metav1.Time) (map[string]any, error)

// rules holds the kinds whose statuses are rolled up by meaning.
var rules = map[schema.GroupKind]rule{
	{Group: "apps", Kind: "Deployment"}:           native(deployment),
	{Group: "apps", Kind: "ReplicaSet"}:           native(replicaSet),
	{Group: "", Kind: "ReplicationController"}:    native(replicationController),
	{Group: "apps", Kind: "StatefulSet"}:          native(statefulSet),
	{Group: "apps", Kind: "DaemonSet"}:            native(daemonSet),
	{Group: "batch", Kind: "Job"}:                 native(job),
	{Group: "batch", Kind: "CronJob"}:             native(cronJob),
	{Group: "", Kind: "Pod"}:                      pod,
	{Group: "", Kind: "Service"}:                  native(service),
	{Group: "networking.k8s.io", Kind: "Ingress"}: native(ingress),
	{Group: "", Kind: "PersistentVolumeClaim"}:    native(persistentVolumeClaim),

	autoscalers: native(horizontalPodAutoscaler),
}

// autoscalers are run by the fleet where they are in no member; then a controller of the
// fleet writes their status.
var autoscalers = schema.GroupKind{Group: "autoscaling", Kind: "HorizontalPodAutoscaler"}

// fleetKinds and fleetGroups hold kinds whose status a controller of the fleet
// writes; no member has a say in it.
var (
	fleetKinds = map[schema.GroupKind]bool{
		{Group: "", Kind: "Namespace"}:                                    true,
		{Group: "", Kind: "Node"}:                                         true,
		{Group: "", Kind: "ResourceQuota"}:                                true,
		{Group: "policy", Kind: "PodDisruptionBudget"}:                    true,
		{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition"}: true,
		{Group: "apiregistration.k8s.io", Kind: "APIService"}:             true,
	}
	fleetGroups = map[string]bool{
		"admissionregistration.k8s.io": true,
		"certificates.k8s.io":          true,
		"flowcontrol.apiserver.k8s.io": true,
		"internal.apiserver.k8s.io":    true,
	}
)

// Native reports whether the statuses of a kind are rolled up by a rule of the fleet,
// or by none, so that no customization has a say in it.
func Native(kind schema.GroupKind) bool {
	_, ok := rules[kind]
	return ok || ownedByFleet(kind)
}

func ownedByFleet(kind schema.GroupKind) bool {
	return fleetKinds[kind] || fleetGroups[kind.Group] ||
		kind.Group == "fleet.dev" || strings.HasSuffix(kind.Group, ".fleet.dev")
}

// Needed says whether Status can have anything to say about a template of this
// kind, so that a caller need not read the template when it has not: ConfigMaps,
// for example, have no status anywhere.
func Needed(kind schema.GroupKind, members []Member) bool {
	if ownedByFleet(kind) {
		return false
	}
	if _, ok := rules[kind]; ok {
		return kind != autoscalers || len(members) > 0
	}
	return slices.ContainsFunc(members, func(m Member) bool { return len(m.Status) > 0 })
}

// Status returns the .status that the template should have, given what the
// members of its binding reported, and whether that differs from the one it has.
// The template must be as the API server returned it, defaults and status
// included; it is not modified. now is used for conditions that change.
//
// Custom resources are rolled up by the customizations of by, which may be nil; an
// *interpreter.Error says that one of them failed.
//
// When the error consists of MemberErrors alone (errors.As), the status is valid
// nevertheless: it was made as if those members had reported none.
func Status(template *unstructured.Unstructured, members []Member, by *interpreter.Interpreter, now time.Time) (map[string]any, bool, error) {
	old, _, err := unstructured.NestedMap(template.Object, "status")
	if err != nil {
		return nil, false, fmt.Errorf("read status of %s %q: %w", template.GetKind(), template.GetName(), err)
	}
	kind := template.GroupVersionKind().GroupKind()
	if ownedByFleet(kind) {
		return old, false, nil
	}
	roll, ok := rules[kind]
	if !ok {
		roll = interpreted(by)
	}
	members = slices.SortedFunc(slices.Values(members), func(a, b Member) int { return cmp.Compare(a.Cluster, b.Cluster) })
	status, err := roll(template, members, metav1.NewTime(now.Truncate(time.Second)))
	if err != nil && !onlyMemberErrors(err) {
		return nil, false, err
	}
	return status, !equality.Semantic.DeepEqual(old, status), err
}

// onlyMemberErrors tells errors that leave the status valid from others.
func onlyMemberErrors(err error) bool {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return false
	}
	for _, part := range joined.Unwrap() {
		if memberErr := (*MemberError)(nil); !errors.As(part, &memberErr) {
			return false
		}
	}
	return true
}

// observedGeneration returns the generation that a status may claim to be about:
// the newest one that every member reflects, never an earlier one than it
// claimed before.
func observedGeneration(template *unstructured.Unstructured, members []Member) int64 {
	observed := template.GetGeneration()
	for _, member := range members {
		observed = min(observed, member.TemplateGeneration)
	}
	return max(observed, observedBefore(template))
}

// observedBefore returns the generation that the present status claims.
func observedBefore(template *unstructured.Unstructured) int64 {
	old, _, _ := unstructured.NestedInt64(template.Object, "status", "observedGeneration")
	return old
}
