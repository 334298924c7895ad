// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package scheduler

import (
	"errors"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/utils/ptr"

	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/scheduler/capacity"
	"fleet.dev/fleet/pkg/scheduler/framework"
	"fleet.dev/fleet/pkg/scheduler/framework/plugins/apienablement"
	"fleet.dev/fleet/pkg/scheduler/framework/plugins/wholefit"
	"fleet.dev/fleet/pkg/scheduler/metrics"
	"fleet.dev/fleet/pkg/scheduler/queue"
	"fleet.dev/fleet/pkg/scheduler/strategy"
	"fleet.dev/fleet/pkg/scheduler/template"
)

// decision is what a cycle comes to, and what has to be written for it.
type decision struct {
	*subject
	// result in metrics.
	result string
	// why nothing is placed, for logs.
	why string
	// spec the binding is to have; nil leaves it as it is.
	spec *workv1alpha1.BindingSpec
	// written says that the binding has that spec, whatever fails after.
	written bool
	// remove the binding.
	remove bool
	// confirmGone is to be true in the fleet before anything is written: that the
	// template does not exist.
	confirmGone bool
	// foreground is the template that is as good as gone while it is being deleted in
	// the foreground; empty when there is none.
	foreground types.UID
	// confirmMissing are Clusters that must not exist before anything is written.
	confirmMissing []string
	// scheduled is the condition the binding is to have; nil leaves the status.
	scheduled *metav1.Condition
	// reasons go with the condition.
	reasons []workv1alpha1.ClusterReason
	// wakeOn are the events to decide anew after.
	wakeOn framework.Event
	// choice of members the decision was made by; nil when it was not made by one.
	choice *strategy.Choice
	// losses are what others of lower priority keep that lose replicas for it, in the
	// members they lose them in; claim is the room that makes, with what there is.
	losses map[template.Key]map[string]int32
	claim  map[string]int32
	// diagnosis of the cycle, for who asks why.
	diagnosis framework.Diagnosis
	// retry has it decided anew after a while as well: what was promised to
	// members lapses without an event.
	retry bool
}

// idle reports whether there is nothing to write.
func (d *decision) idle() bool { return d.spec == nil && !d.remove && d.scheduled == nil }

// interest says which members matter to the template; nil is all of them.
func (d *decision) interest() queue.Interest {
	if d.choice == nil {
		return nil
	}
	return d.choice
}

// left is the spec of the binding after the decision was written, nil when there
// is none.
func (d *decision) left() *workv1alpha1.BindingSpec {
	switch {
	case d.spec != nil:
		return d.spec
	case d.binding == nil || d.remove:
		return nil
	default:
		return d.binding.GetSpec()
	}
}

// gone releases the members of a template that does not exist. What became of the
// object there is then kept as tombstones; when those are gone as well the binding
// is removed.
func gone(subject *subject) *decision {
	d := &decision{subject: subject, result: metrics.Released, confirmGone: true}
	d.spec = released(subject.binding)
	d.remove = d.spec == nil && len(subject.binding.GetSpec().Tombstones) == 0
	return d
}

// withdrawn takes a template out of its members that is there until they have nothing
// of it any more. All else is as if it were gone.
func withdrawn(from *subject) *decision {
	without := *from
	without.template, without.placed = nil, nil
	d := gone(&without)
	d.foreground = from.template.UID
	return d
}

// released is the spec of a binding whose template does not exist any more, nil
// when it is in no member. With preserveResourcesOnDeletion it brings along the
// tombstones by which members keep the objects; the registry takes them in the
// write by which the members leave.
func released(binding workv1alpha1.Binding) *workv1alpha1.BindingSpec {
	spec := *binding.GetSpec()
	if len(spec.Clusters) == 0 && len(spec.GracefulEvictionTasks) == 0 && len(spec.RequiredBy) == 0 {
		return nil
	}
	if ptr.Deref(spec.PreserveResourcesOnDeletion, false) {
		spec.Tombstones = slices.Clone(spec.Tombstones)
		for _, member := range sets.List(spec.Holders()) {
			spec.Tombstones = append(spec.Tombstones, workv1alpha1.Tombstone{ClusterName: member, UID: spec.Resource.UID, Orphan: true})
		}
	}
	spec.Clusters, spec.GracefulEvictionTasks, spec.RequiredBy, spec.Overrides, spec.Versions = nil, nil, nil, nil, nil
	return &spec
}

// held leaves a template that is not to be placed for now. What an earlier
// template of the same name left behind is released.
func held(subject *subject, why string) *decision {
	d := &decision{subject: subject, result: metrics.Held, why: why}
	if subject.recreated() {
		d.result = metrics.Released
		d.spec = renewed(subject)
	}
	return d
}

// staysMessage is what the condition of a binding says whose policy is gone.
const staysMessage = "no policy matches any more; it stays where it is"

// abandoned leaves a template that no policy picks where it is, and says so.
func abandoned(subject *subject) *decision {
	d := answered(subject, "no policy matches")
	if subject.recreated() || len(subject.placed) == 0 {
		return d
	}
	condition := meta.FindStatusCondition(subject.binding.GetStatus().Conditions, workv1alpha1.ConditionScheduled)
	if subject.anew || condition == nil || condition.Message != staysMessage {
		d.scheduled = success(staysMessage)
	}
	return d
}

// answered is held for who asks to decide anew: that it stays is the decision.
func answered(subject *subject, why string) *decision {
	d := held(subject, why)
	if subject.anew {
		d.scheduled = success(why)
	}
	return d
}

// waiting reports what a template waits for before it is placed, or placed anew.
// Placements stay.
func waiting(subject *subject, why string, events framework.Event) *decision {
	d := &decision{subject: subject, result: metrics.Unschedulable, why: why, wakeOn: events}
	d.keepOrCreate()
	d.complain(workv1alpha1.ReasonUnschedulable, why, nil)
	return d
}

// renewed is the spec of a binding that lost the template it was made for and is
// about a new one of the same name, which is nowhere.
func renewed(subject *subject) *workv1alpha1.BindingSpec {
	old := subject.binding.GetSpec()
	return &workv1alpha1.BindingSpec{
		Resource:                    subject.template.Reference(),
		Tombstones:                  old.Tombstones,
		SchedulerName:               old.SchedulerName,
		ConflictResolution:          old.ConflictResolution,
		RecreatePolicy:              old.RecreatePolicy,
		PreserveResourcesOnDeletion: old.PreserveResourcesOnDeletion,
		Suspension:                  old.Suspension,
	}
}

// failed reports that no decision could be made. Placements stay.
func failed(subject *subject, err error) *decision {
	d := &decision{subject: subject, result: metrics.Failed, why: err.Error(), wakeOn: framework.AnyEvent}
	d.keepOrCreate()
	d.complain(workv1alpha1.ReasonSchedulerError, err.Error(), nil)
	return d
}

// unread reports that a customization cannot read a template. Placements stay until
// either of them changes.
func unread(subject *subject) *decision {
	d := &decision{subject: subject, result: metrics.Failed, why: subject.template.Problem}
	d.keepOrCreate()
	d.complain(workv1alpha1.ReasonSchedulerError, subject.template.Problem, nil)
	return d
}

// unplaced reports that no member, or too few, can take a template. Placements
// stay.
func unplaced(subject *subject, plan *strategy.Plan, diagnosis framework.Diagnosis, err error) *decision {
	var fit *framework.FitError
	if !errors.As(err, &fit) {
		return failed(subject, err)
	}
	d := &decision{
		subject: subject,
		result:  metrics.Unschedulable,
		why:     err.Error(),
		wakeOn:  diagnosis.Events | framework.MemberAdded | framework.MemberSelection,
		choice:  plan.Choice,

		diagnosis: diagnosis,
		retry:     fit.Reason == workv1alpha1.ReasonUnschedulable || slices.ContainsFunc(diagnosis.Reasons, byPromises),
	}
	// Configuration that finds no member by default is no news: it goes to the
	// members that come, and until then there is nothing to record.
	silent := subject.binding == nil && subject.template.Workload == nil && plan.Placement.Auto != nil
	if silent {
		return d
	}
	d.keepOrCreate()
	d.complain(fit.Reason, err.Error(), diagnosis.Reasons)
	return d
}

// byPromises reports whether a refusal may be due to what was promised, which
// lapses without an event.
func byPromises(reason workv1alpha1.ClusterReason) bool { return reason.Plugin == wholefit.Name }

// keepOrCreate has a binding to complain on.
func (d *decision) keepOrCreate() {
	switch {
	case d.binding == nil:
		d.spec = &workv1alpha1.BindingSpec{Resource: d.template.Reference()}
		follow(d.spec, d.match.Policy)
		d.spec.SchedulePriority = d.schedulePriority()
	case d.recreated():
		d.spec = renewed(d.subject)
	}
}

// complain sets the condition of a binding whose template cannot be placed,
// unless it says so already.
func (d *decision) complain(reason, message string, reasons []workv1alpha1.ClusterReason) {
	if d.binding != nil && d.spec == nil {
		status := d.binding.GetStatus()
		now := meta.FindStatusCondition(status.Conditions, workv1alpha1.ConditionScheduled)
		same := now != nil && now.Status == metav1.ConditionFalse && now.Reason == reason && now.Message == message
		unanswered := d.anew && now != nil && now.ObservedGeneration < d.binding.GetGeneration()
		if same && slices.Equal(status.Reasons, reasons) && !unanswered {
			return
		}
	}
	d.scheduled = &metav1.Condition{
		Type:    workv1alpha1.ConditionScheduled,
		Status:  metav1.ConditionFalse,
		Reason:  reason,
		Message: message,
	}
	d.reasons = reasons
}

// placed writes a placement, if it is not the one there is.
func placed(subject *subject, plan *strategy.Plan, diagnosis framework.Diagnosis, clusters []workv1alpha1.TargetCluster, tasks []workv1alpha1.GracefulEvictionTask, how differences) *decision {
	d := &decision{subject: subject, result: metrics.Placed, diagnosis: diagnosis, choice: plan.Choice}
	if plan.Choice.Selective() && !plan.Once {
		d.wakeOn = framework.MemberSelection
	}
	if plan.Pick == framework.PickAll && (plan.Division == framework.DivideNothing || plan.Division == framework.DivideByWeight) {
		d.wakeOn |= diagnosis.Events | plan.Follow
	}
	if subject.stuck.some() && plan.Division.ByRoom() && !plan.Once && !subject.template.IsStatefulSet() {
		d.wakeOn |= roomier
	}
	if len(how.versions) > 0 {
		d.wakeOn |= framework.MemberAPIs
	}
	d.spec = wantedSpec(subject, plan, clusters, how)
	d.spec.GracefulEvictionTasks = tasks
	if subject.binding == nil {
		d.mentionUnserved(diagnosis)
		return d
	}
	if sameSpec(subject.binding.GetSpec(), d.spec) {
		d.result, d.spec = metrics.Unchanged, nil
	}
	if d.spec != nil {
		d.confirmMissing = subject.missing
	}
	if slices.Equal(clusters, subject.binding.GetSpec().Clusters) {
		d.takeBack()
	}
	if subject.anew {
		d.scheduled = chosen()
	}
	d.mentionUnserved(diagnosis)
	return d
}

// maxMentioned bounds the members that the reasons of a placed template name: there may
// be hundreds, and as many templates of the kind.
const maxMentioned = 20

// mentionUnserved records which members do not get a template because they do not serve
// its kind: nobody chose that. It is the one refusal that is told with a success, in a
// write of its own, and again only when it is another.
func (d *decision) mentionUnserved(diagnosis framework.Diagnosis) {
	if diagnosis.Feasible == 0 {
		return // nobody looked
	}
	var unserved []workv1alpha1.ClusterReason
	for _, reason := range diagnosis.Reasons {
		if reason.Plugin == apienablement.Name && reason.Message == apienablement.ErrReason {
			unserved = append(unserved, reason)
		}
	}
	// Nor does it say how many there are: that is a write for each member that joins.
	unserved = unserved[:min(len(unserved), maxMentioned)]
	var known []workv1alpha1.ClusterReason
	if d.binding != nil && (d.spec == nil || slices.Equal(d.spec.Clusters, d.binding.GetSpec().Clusters)) {
		known = d.binding.GetStatus().Reasons // a write that changes the members empties them
	}
	if d.scheduled == nil && slices.Equal(known, unserved) {
		return
	}
	d.scheduled, d.reasons = chosen(), unserved
	if len(unserved) > 0 {
		d.scheduled.Message = "members have been chosen; others do not serve the kind, see reasons"
	}
}

// chosen is the condition of a binding whose members were chosen.
func chosen() *metav1.Condition { return success("members have been chosen") }

func success(message string) *metav1.Condition {
	return &metav1.Condition{
		Type:    workv1alpha1.ConditionScheduled,
		Status:  metav1.ConditionTrue,
		Reason:  workv1alpha1.ReasonSuccess,
		Message: message,
	}
}

// takeBack takes an earlier complaint back, and that no policy matches. The server does that itself in a
// write that changes members.
func (d *decision) takeBack() {
	condition := meta.FindStatusCondition(d.binding.GetStatus().Conditions, workv1alpha1.ConditionScheduled)
	if condition == nil || condition.Status != metav1.ConditionFalse && condition.Message != staysMessage {
		return
	}
	d.scheduled = chosen()
}

// loads returns what the decision adds to each member.
func (d *decision) loads() map[string][]capacity.Load {
	loads := map[string][]capacity.Load{}
	for _, cluster := range d.spec.Clusters {
		before, placed := d.placed[cluster.Name]
		if len(d.components) > 0 && !placed {
			loads[cluster.Name] = d.components
		}
		if d.demand == nil {
			continue
		}
		added := cluster.Replicas - before
		if cluster.Replicas == 0 && !placed {
			added = d.template.Workload.Pods
		}
		if added > 0 {
			loads[cluster.Name] = []capacity.Load{{Demand: d.demand, Replicas: added}}
		}
	}
	return loads
}

// sameSpec compares what is with what is wanted. Generations of policies are
// notes: one that changed with no effect on this template is no change.
func sameSpec(is, wanted *workv1alpha1.BindingSpec) bool {
	compared := *wanted
	if is.Policy != nil && compared.Policy != nil {
		policy := *compared.Policy
		policy.Generation = is.Policy.Generation
		compared.Policy = &policy
	}
	if len(is.Overrides) == len(compared.Overrides) {
		compared.Overrides = slices.Clone(compared.Overrides)
		for i := range compared.Overrides {
			compared.Overrides[i].Policy.Generation = is.Overrides[i].Policy.Generation
		}
	}
	return equality.Semantic.DeepEqual(*is, compared)
}
