// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package revision

import (
	"context"
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/controller"
	deploymentutil "k8s.io/kubernetes/pkg/controller/deployment/util"
	"k8s.io/kubernetes/pkg/controller/history"
	labelsutil "k8s.io/kubernetes/pkg/util/labels"
	"k8s.io/utils/ptr"

	"fleet.dev/fleet/pkg/apis/wellknown"
)

// DeploymentKind is the kind that owns ReplicaSets.
var DeploymentKind = appsv1.SchemeGroupVersion.WithKind("Deployment")

// maxRevisionHistory bounds the annotation with the earlier numbers of a revision, in
// characters, as the Deployment controller does.
const maxRevisionHistory = 2000

// ReplicaSets is what has to be written of the ReplicaSets of a Deployment. What is
// in Status is in none of the others: its numbers come after its spec.
type ReplicaSets struct {
	// Record says that the current revision has no ReplicaSet: NewReplicaSet makes it.
	Record bool
	// Number is that of the current revision, empty when it has none.
	Number string
	// Update are those with other metadata or spec.
	Update []*appsv1.ReplicaSet
	// Status are those with another status.
	Status []*appsv1.ReplicaSet
	// Delete are those beyond the history limit.
	Delete []*appsv1.ReplicaSet
	// Settled says that the rollout is over, for good or ill, so that the numbers are
	// not about to change again.
	Settled bool
}

// PlanReplicaSets compares the ReplicaSets that record a Deployment's revisions with what
// they should be. Their order in the list may change, they do not.
func PlanReplicaSets(ctx context.Context, deployment *appsv1.Deployment, existing []*appsv1.ReplicaSet) ReplicaSets {
	current := deploymentutil.FindNewReplicaSet(deployment, existing)
	_, old := deploymentutil.FindOldReplicaSets(deployment, existing)
	byRevision(old)
	plan := ReplicaSets{Settled: settled(deployment)}
	if current == nil && !deployment.Spec.Paused {
		plan.Record = true
		return plan
	}
	statuses := share(deployment, current, old)
	for _, rs := range existing {
		desired := specOf(ctx, deployment, rs, current, old)
		if current != nil && rs.UID == current.UID {
			plan.Number = desired.Annotations[deploymentutil.RevisionAnnotation]
		}
		switch {
		case !equality.Semantic.DeepEqual(desired, rs):
			plan.Update = append(plan.Update, desired)
		case statuses != nil && !equality.Semantic.DeepEqual(statuses[rs.UID], rs.Status):
			desired.Status = statuses[rs.UID]
			plan.Status = append(plan.Status, desired)
		}
	}
	if deployment.Spec.Paused || deploymentutil.DeploymentComplete(deployment, &deployment.Status) {
		plan.Delete = beyondLimit(deployment, old)
	}
	return plan
}

// NewReplicaSet returns the record of a Deployment's current Pod template, after
// those of the earlier ones. Stamp is what Stamp says. Another probe gives another name.
func NewReplicaSet(ctx context.Context, deployment *appsv1.Deployment, old []*appsv1.ReplicaSet, stamp string, probe *int32) *appsv1.ReplicaSet {
	template := deployment.Spec.Template.DeepCopy()
	hash := controller.ComputeHash(stamped(template, stamp), probe)
	template.Labels = with(template.Labels, map[string]string{appsv1.DefaultDeploymentUniqueLabelKey: hash})
	rs := &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{
			Name:            history.ControllerRevisionName(deployment.Name, hash),
			Namespace:       deployment.Namespace,
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(deployment, DeploymentKind)},
			Labels:          with(template.Labels, map[string]string{wellknown.LabelRevision: stamp}),
		},
		Spec: appsv1.ReplicaSetSpec{
			Replicas:        new(replicasOf(deployment)),
			MinReadySeconds: deployment.Spec.MinReadySeconds,
			Selector:        labelsutil.CloneSelectorAndAddLabel(deployment.Spec.Selector, appsv1.DefaultDeploymentUniqueLabelKey, hash),
			Template:        *template,
		},
	}
	number := strconv.FormatInt(deploymentutil.MaxRevision(klog.FromContext(ctx), old)+1, 10)
	deploymentutil.SetNewReplicaSetAnnotations(ctx, deployment, rs, number, false, maxRevisionHistory)
	return rs
}

// DeploymentOf returns the name of the Deployment that a ReplicaSet records a Pod template
// of, empty when it is no record. That of one without owner follows from its own name,
// unless that was cut because it was longer than 223 characters.
func DeploymentOf(rs metav1.Object) string {
	if _, ok := rs.GetLabels()[wellknown.LabelRevision]; !ok {
		return ""
	}
	if owner := metav1.GetControllerOfNoCopy(rs); owner != nil {
		return owner.Name
	}
	name, _ := strings.CutSuffix(rs.GetName(), "-"+rs.GetLabels()[appsv1.DefaultDeploymentUniqueLabelKey])
	return name
}

// Records says whether a ReplicaSet is the record of a Deployment's current Pod
// template.
func Records(rs *appsv1.ReplicaSet, deployment *appsv1.Deployment) bool {
	return metav1.IsControlledBy(rs, deployment) && deploymentutil.EqualIgnoreHash(&rs.Spec.Template, &deployment.Spec.Template)
}

// byRevision sorts from the newest revision to the oldest.
func byRevision(sets []*appsv1.ReplicaSet) {
	slices.SortStableFunc(sets, func(a, b *appsv1.ReplicaSet) int {
		if newer := numberOf(b) - numberOf(a); newer != 0 {
			return int(newer)
		}
		return b.CreationTimestamp.Compare(a.CreationTimestamp.Time)
	})
}

// numberOf is the number of a revision, 0 where somebody spoiled it.
func numberOf(rs *appsv1.ReplicaSet) int64 {
	number, err := deploymentutil.Revision(rs)
	if err != nil {
		return 0
	}
	return number
}

func replicasOf(deployment *appsv1.Deployment) int32 { return ptr.Deref(deployment.Spec.Replicas, 1) }

// observed says whether the Deployment's status is about its spec.
func observed(deployment *appsv1.Deployment) bool {
	return deployment.Status.ObservedGeneration >= deployment.Generation
}

// settled says whether the rollout is over.
func settled(deployment *appsv1.Deployment) bool {
	progressing := deploymentutil.GetDeploymentCondition(deployment.Status, appsv1.DeploymentProgressing)
	timedOut := progressing != nil && progressing.Reason == deploymentutil.TimedOutReason
	return observed(deployment) && (timedOut || deploymentutil.DeploymentComplete(deployment, &deployment.Status))
}

// outdated is how many replicas are of earlier Pod templates.
func outdated(deployment *appsv1.Deployment) int32 {
	return max(deployment.Status.Replicas-deployment.Status.UpdatedReplicas, 0)
}

// specOf returns a ReplicaSet with the metadata and spec it should have.
func specOf(ctx context.Context, deployment *appsv1.Deployment, rs, current *appsv1.ReplicaSet, old []*appsv1.ReplicaSet) *appsv1.ReplicaSet {
	desired := rs.DeepCopy()
	replicas := ptr.Deref(rs.Spec.Replicas, 0)
	switch {
	case current != nil && rs.UID == current.UID:
		number := strconv.FormatInt(deploymentutil.MaxRevision(klog.FromContext(ctx), old)+1, 10)
		deploymentutil.SetNewReplicaSetAnnotations(ctx, deployment, desired, number, true, maxRevisionHistory)
		desired.Spec.MinReadySeconds = deployment.Spec.MinReadySeconds
		replicas = replicasOf(deployment)
	case current == nil && rs.UID == active(old).UID:
		replicas = replicasOf(deployment) // paused before the template got a revision
	case observed(deployment) && outdated(deployment) == 0:
		replicas = 0
	}
	if replicas != ptr.Deref(rs.Spec.Replicas, 0) {
		desired.Spec.Replicas = &replicas
		deploymentutil.SetReplicasAnnotations(desired, replicasOf(deployment), replicasOf(deployment)+deploymentutil.MaxSurge(*deployment))
	}
	return desired
}

// active is the revision, of those that are not current, whose Pods run: the
// newest that asks for some, else the newest. There has to be one.
func active(old []*appsv1.ReplicaSet) *appsv1.ReplicaSet {
	for _, rs := range old {
		if ptr.Deref(rs.Spec.Replicas, 0) > 0 {
			return rs
		}
	}
	return old[0]
}

// share divides the Deployment's numbers among its revisions, by uid. It returns nil
// while they are not about the present spec. How many of the current revision are
// ready nobody counted: at least those that are ready beyond the others, which is
// all of them when no others are left.
func share(deployment *appsv1.Deployment, current *appsv1.ReplicaSet, old []*appsv1.ReplicaSet) map[types.UID]appsv1.ReplicaSetStatus {
	if !observed(deployment) {
		return nil
	}
	statuses := map[types.UID]appsv1.ReplicaSetStatus{}
	for _, rs := range old {
		statuses[rs.UID] = numbers(rs, 0, 0, 0)
	}
	total, others := deployment.Status, outdated(deployment)
	if current == nil {
		others = total.Replicas
	}
	updated := total.Replicas - others
	ready := min(max(total.ReadyReplicas-others, 0), updated)
	available := min(max(total.AvailableReplicas-others, 0), ready)
	if current != nil {
		statuses[current.UID] = numbers(current, updated, ready, available)
	}
	if len(old) > 0 {
		rs := active(old)
		otherReady := min(total.ReadyReplicas-ready, others)
		statuses[rs.UID] = numbers(rs, others, otherReady, min(total.AvailableReplicas-available, otherReady))
	}
	shareTerminating(total.TerminatingReplicas, current, old, statuses)
	return statuses
}

// shareTerminating says of all revisions that no Pods of theirs are terminating, where
// members count these, but of the one that loses Pods.
func shareTerminating(total *int32, current *appsv1.ReplicaSet, old []*appsv1.ReplicaSet, statuses map[types.UID]appsv1.ReplicaSetStatus) {
	if total == nil {
		return
	}
	losing := current
	if len(old) > 0 && (current == nil || active(old).Status.Replicas > 0) {
		losing = active(old)
	}
	for uid, status := range statuses {
		status.TerminatingReplicas = new(int32(0))
		if uid == losing.UID {
			status.TerminatingReplicas = new(*total)
		}
		statuses[uid] = status
	}
}

func numbers(rs *appsv1.ReplicaSet, replicas, ready, available int32) appsv1.ReplicaSetStatus {
	return appsv1.ReplicaSetStatus{
		ObservedGeneration: rs.Generation, Replicas: replicas, FullyLabeledReplicas: replicas,
		ReadyReplicas: ready, AvailableReplicas: available,
	}
}

// beyondLimit are the oldest of the revisions that nothing runs of, as
// cleanupDeployment in k8s.io/kubernetes/pkg/controller/deployment/sync.go chooses.
func beyondLimit(deployment *appsv1.Deployment, old []*appsv1.ReplicaSet) []*appsv1.ReplicaSet {
	if !deploymentutil.HasRevisionHistoryLimit(deployment) {
		return nil
	}
	kept := slices.DeleteFunc(slices.Clone(old), func(rs *appsv1.ReplicaSet) bool { return rs.DeletionTimestamp != nil })
	limit := int(*deployment.Spec.RevisionHistoryLimit)
	if len(kept) <= limit {
		return nil
	}
	return slices.DeleteFunc(kept[limit:], func(rs *appsv1.ReplicaSet) bool {
		return rs.Status.Replicas != 0 || ptr.Deref(rs.Spec.Replicas, 0) != 0 || rs.Generation > rs.Status.ObservedGeneration
	})
}
