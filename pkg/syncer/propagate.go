// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package syncer

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

	"fleet.dev/fleet/pkg/apis/wellknown"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/health"
	"fleet.dev/fleet/pkg/interpreter"
	"fleet.dev/fleet/pkg/member"
)

// requestTimeout bounds one read or write of an object in a member.
const requestTimeout = 15 * time.Second

// unreadPatience is how long a member may take to list the objects of a kind
// before that is reported.
const unreadPatience = 15 * time.Second

// propagation is one look at one work that is to be applied.
type propagation struct {
	*session
	work     *workv1alpha1.Work
	record   *record
	target   target
	resource member.Resource
	hash     uint64 // of what the work wants
	// owners of the object in the member.
	owners []metav1.OwnerReference
	// pinned is true when what is desired is so for one version of the object only.
	pinned bool
	// unread is true while the member was not asked whether it has an object that is
	// not mirrored; taken, when it turned out that it has one.
	unread, taken bool
}

// propagate makes the member's object as the work says.
func (s *session) propagate(ctx context.Context, work *workv1alpha1.Work, record *record) outcome {
	record.ended, record.removed, record.outdated, record.unknownSince = nil, nil, false, time.Time{}
	p := &propagation{session: s, work: work, record: record, target: record.target, owners: s.resolveOwners(work)}
	defer s.owners.release(p.owners)
	p.hash = s.desiredHash(work, p.owners)
	// 1. How does the member serve the kind?
	resource, ok := s.member.APIs().Resource(p.target.kind)
	if !ok {
		return s.notServed(p.target)
	}
	p.resource = resource
	// 2. What does it have now?
	mirror := s.observers.of(p.target.kind, resource)
	if !mirror.hasSynced() {
		return s.unread(record, resource)
	}
	record.unreadSince = time.Time{}
	live := s.latest(record, mirror)
	if live != nil && record.settled.holds(p.hash, live) {
		noops.Inc()
		return p.done(live)
	}
	if live == nil {
		return p.bringUnseen(ctx)
	}
	return p.bring(ctx, live)
}

// bringUnseen makes an object as the work says that is not mirrored, as are those
// without our mark. At first there most likely is none, and to create one tells.
func (p *propagation) bringUnseen(ctx context.Context) outcome {
	isNew := !p.record.tried && p.record.settled == nil && !p.finished()
	if p.unread = isNew && !p.target.isNamespace(); p.unread {
		p.record.tried = true
		if o := p.bring(ctx, nil); !p.taken {
			return o
		}
		p.unread = false
	}
	live, err := p.read(ctx, p.resource, p.target)
	switch {
	case err != nil:
		return failed(err, nil)
	case live == nil && p.finished():
		// The last report stays: it ran, and would run once more.
		return outcome{}
	}
	return p.bring(ctx, live)
}

// bring makes live, which is nil when the member has no such object, as the work says.
func (p *propagation) bring(ctx context.Context, live *observed) outcome {
	s, work := p.session, p.work
	if o, wait := p.heldBack(live); wait {
		return o
	}
	// 3. May it be touched?
	step, why := decide(p.target, work, live, s.fleetID)
	switch step {
	case refuse:
		return refused(workv1alpha1.AppliedReasonConflict, why, nil, later)
	case share:
		return outcome{reason: workv1alpha1.AppliedReasonSuccess, applied: true, message: p.target.String() + " is shared with others in the member", object: live}
	}
	// 4. What should it have?
	desired, err := decodeDesired(work, s.fleetID)
	if err != nil {
		return refused(workv1alpha1.AppliedReasonInvalid, err.Error(), owned(live, s.fleetID), never)
	}
	setOwners(desired, p.owners)
	if p.pinned, err = s.spareReplicas(p.target, desired, live); err != nil {
		return refused(workv1alpha1.AppliedReasonInvalid, err.Error(), owned(live, s.fleetID), later)
	}
	if p.target.isNamespace() && (live == nil || live.createdNamespace()) {
		markCreated(desired)
	}
	if adopted(step, work, live, s.fleetID) {
		annotate(desired, wellknown.AnnotationAdopted, "true")
	}
	if err := spareResources(p.target, desired, live); err != nil {
		return refused(workv1alpha1.AppliedReasonInvalid, err.Error(), owned(live, s.fleetID), later)
	}
	schema, err := p.schema(ctx)
	if err != nil {
		return failed(err, nil)
	}
	if desired, err = s.retain(desired, live); err != nil {
		return refused(workv1alpha1.AppliedReasonInvalid, err.Error(), owned(live, s.fleetID), never)
	}
	if err := p.trim(schema, desired); err != nil {
		return refused(workv1alpha1.AppliedReasonInvalid, err.Error(), owned(live, s.fleetID), never)
	}
	if err := spareRestart(schema, step, desired, live); err != nil {
		return refused(workv1alpha1.AppliedReasonInvalid, err.Error(), owned(live, s.fleetID), later)
	}
	// 5. Write it, if it has not.
	return p.converge(ctx, step, schema, desired, live)
}

// finished returns true when the object was reported to have run to its end, or was seen to.
func (p *propagation) finished() bool {
	return p.work.Spec.Finished || p.record.finished == p.work.Spec.Template.UID && p.record.finished != ""
}

// retain returns the desired object with what it keeps of the one in the member.
func (s *session) retain(desired *unstructured.Unstructured, live *observed) (*unstructured.Unstructured, error) {
	by := s.interpretations.Interpreter()
	if live == nil || !by.Answers(desired.GroupVersionKind(), interpreter.Retention) {
		return desired, nil
	}
	object, err := live.decode()
	if err != nil {
		return nil, err
	}
	return by.Retain(desired, object)
}

// owned returns live if it is this fleet's.
func owned(live *observed, fleetID string) *observed {
	if live == nil || live.managedBy() != fleetID {
		return nil
	}
	return live
}

// converge writes the object if it differs from desired.
func (p *propagation) converge(ctx context.Context, step step, schema *member.Schema, desired *unstructured.Unstructured, live *observed) outcome {
	if live == nil {
		return p.create(ctx, schema, desired)
	}
	diff, err := compare(schema, desired, live)
	p.record.lost = diff.lost()
	switch {
	case err != nil && step != update:
		return refused(workv1alpha1.AppliedReasonInvalid, err.Error(), nil, later)
	case err == nil && step == adopt && len(diff.foreign()) > 0:
		return refused(workv1alpha1.AppliedReasonConflict, conflictMessage(p.target, diff), nil, later)
	case err == nil && step == update && p.nothingToSend(diff, live):
		p.settle(live, diff.residue)
		noops.Inc()
		return p.done(live)
	}
	if wait := p.dispute(); wait > 0 {
		o := outcome{reason: workv1alpha1.AppliedReasonConflict, message: disputeMessage(diff), object: owned(live, p.fleetID), after: wait}
		o.drift = diff.drift(isSecret(p.target))
		return o
	}
	return p.apply(ctx, schema, desired, application{uid: live.UID, force: step != adopt, live: live})
}

// nothingToSend returns true when applying would change nothing, or nothing the
// member would keep.
func (p *propagation) nothingToSend(diff difference, live *observed) bool {
	if diff.empty() || p.record.settled.accepts(p.hash, diff.residue) {
		return true
	}
	// After a restart: this very content was applied last, and the member filled
	// something in.
	return p.record.settled == nil && diff.filled && live.contentHash() == p.work.Spec.ContentHash
}

// drifted returns true when the object was as the work says before.
func (p *propagation) drifted() bool {
	return p.record.settled != nil && p.record.settled.desired == p.hash
}

// dispute returns how long a correction has to wait because the ones before did
// not last.
func (p *propagation) dispute() time.Duration {
	if !p.drifted() {
		return 0
	}
	return p.record.disputes.wait(p.clock)
}

// create makes the object in a namespace that exists.
func (p *propagation) create(ctx context.Context, schema *member.Schema, desired *unstructured.Unstructured) outcome {
	if wait := p.dispute(); wait > 0 {
		return outcome{reason: workv1alpha1.AppliedReasonConflict, message: "somebody else keeps deleting it in the member", after: wait}
	}
	if p.target.isNamespace() {
		return p.createNamespaceOf(ctx, schema, desired)
	}
	if p.resource.Namespaced {
		if err := p.ensureNamespace(ctx, p.target.namespace); err != nil {
			return p.refuse(failed(err, nil), nil)
		}
	}
	o := p.apply(ctx, schema, desired, application{create: p.unread})
	if !o.applied && !p.taken && p.resource.Namespaced {
		// Its namespace may have gone since it was last seen.
		p.forgetNamespace(p.target.namespace)
	}
	return o
}

// createNamespaceOf makes the namespace of a work in two steps, because only a
// plain create tells for sure that nobody else did.
func (p *propagation) createNamespaceOf(ctx context.Context, schema *member.Schema, desired *unstructured.Unstructured) outcome {
	if err := p.ensureNamespace(ctx, p.target.name); err != nil {
		return failed(err, nil)
	}
	live, err := p.read(ctx, p.resource, p.target)
	switch {
	case err != nil:
		return failed(err, nil)
	case live == nil || live.managedBy() != p.fleetID:
		p.forgetNamespace(p.target.name)
		return outcome{retry: soon}
	}
	return p.apply(ctx, schema, desired, application{uid: live.UID, force: true, live: live})
}

// application is how to apply.
type application struct {
	// uid the object has to have; empty allows to create it.
	uid types.UID
	// force takes fields over from other managers.
	force bool
	// live is the object before.
	live *observed
	// create fails when there is an object already.
	create bool
}

// noVersion is a resourceVersion that no object has: applied with it, one that exists
// is left as it is, with a conflict, and one that does not is created. It is the
// largest that fits whatever an API server keeps versions in.
const noVersion = "9223372036854775807"

// apply sends the object to the member and accepts what comes of it.
func (p *propagation) apply(ctx context.Context, schema *member.Schema, desired *unstructured.Unstructured, how application) outcome {
	started := p.clock.Now()
	object, err := p.send(ctx, desired, how)
	applyDuration.Observe(p.clock.Since(started).Seconds())
	if err != nil {
		if p.taken = how.create && apierrors.IsConflict(err); p.taken {
			return outcome{}
		}
		if p.pinned && how.force && apierrors.IsConflict(err) {
			// It changed meanwhile: look again when that is seen.
			return outcome{object: owned(how.live, p.fleetID), retry: soon}
		}
		applies.WithLabelValues("error").Inc()
		if apierrors.IsNotFound(err) || isUntyped(err) {
			p.member.Refresh()
		}
		return p.turnedDown(ctx, err, how.live)
	}
	applies.WithLabelValues("success").Inc()
	p.record.refusal = nil
	if p.drifted() {
		driftCorrections.Inc()
		p.record.disputes.corrected(p.clock)
		klog.FromContext(ctx).V(2).Info("Corrected drift in member", "kind", p.target.kind.Kind, "object", p.target.key())
	}
	p.mu.Lock()
	p.record.keepApplied(object)
	p.mu.Unlock()
	p.session.owners.see(p.target.identity(), nil, object)
	diff, err := compare(schema, desired, object)
	p.record.lost = diff.lost()
	if err != nil {
		// The member took it. What cannot be compared is not sent again until it
		// changes.
		p.settle(object, 0)
		return p.done(object)
	}
	p.settle(object, diff.residue)
	return p.done(object)
}

// send is the request.
func (p *propagation) send(ctx context.Context, desired *unstructured.Unstructured, how application) (*observed, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	if how.uid != "" {
		// Should the object be replaced meanwhile, the replacement is not ours.
		desired.SetUID(how.uid)
		defer unstructured.RemoveNestedField(desired.Object, "metadata", "uid")
	}
	if version := p.versionFor(how); version != "" {
		desired.SetResourceVersion(version)
		defer unstructured.RemoveNestedField(desired.Object, "metadata", "resourceVersion")
	}
	body, err := json.Marshal(desired.Object)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", p.target, err)
	}
	options := metav1.PatchOptions{FieldManager: wellknown.FieldManager, Force: &how.force}
	object, err := p.objects(p.resource, p.target).Patch(ctx, p.target.name, types.ApplyPatchType, body, options)
	if err != nil {
		return nil, fmt.Errorf("apply %s to member %q: %w", p.target, p.cluster, err)
	}
	return observe(object, p.interpretations.Interpreter())
}

// versionFor returns the version that the object has to have, empty when it may be any.
func (p *propagation) versionFor(how application) string {
	switch {
	case how.create:
		return noVersion
	case p.pinned && how.live != nil:
		return how.live.ResourceVersion
	default:
		return ""
	}
}

// schema returns the member's schema of the kind.
func (p *propagation) schema(ctx context.Context) (*member.Schema, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	return p.member.Schema(ctx, p.target.kind)
}

// trim cuts desired down to what the member's server-side apply takes.
func (p *propagation) trim(schema *member.Schema, desired *unstructured.Unstructured) error {
	p.record.trimmed = nil
	if _, err := schema.Desired(desired); err == nil {
		return nil
	}
	var err error
	p.record.trimmed, err = schema.Trim(desired)
	return err
}

// settle remembers that object is as the work says, but for the residue.
func (p *propagation) settle(object *observed, residue uint64) {
	p.record.settled = &settled{desired: p.hash, uid: object.UID, fingerprint: object.fingerprint, residue: residue}
}

// done is the outcome of a work whose object is as it says.
func (p *propagation) done(object *observed) outcome {
	p.stays(p.record, p.target, object)
	if health.Finished(p.target.kind.GroupKind(), object.status) {
		p.record.finished = p.work.Spec.Template.UID
	}
	o := succeeded(object)
	if p.record.recreatedFor == p.hash && p.record.recreated != object.UID {
		o.reason, o.message = workv1alpha1.AppliedReasonRecreated, p.record.recreatedWhy
	}
	var pruned []string
	if len(p.record.trimmed) > 0 {
		pruned = append(pruned, "the member does not know "+listed(p.record.trimmed))
	}
	if len(p.record.lost) > 0 {
		pruned = append(pruned, "the member takes and drops "+listed(p.record.lost))
	}
	if len(pruned) > 0 {
		o.reason, o.message = workv1alpha1.AppliedReasonPruned, strings.Join(pruned, "; ")
	}
	return o
}

// notServed is the outcome of a work whose kind the member does not serve (yet).
func (s *session) notServed(t target) outcome {
	s.member.Refresh()
	apis := s.member.APIs()
	if apis.Empty() || apis.Uncertain(t.kind.Group) {
		return outcome{retry: soon}
	}
	return refused(workv1alpha1.AppliedReasonKindNotServed,
		fmt.Sprintf("the member does not serve %s of %s", t.kind.Kind, t.kind.GroupVersion()), nil, soon)
}

// unread is the outcome of a work whose kind is not mirrored yet. It is looked at
// again when it is; only when that takes long is it worth a word.
func (s *session) unread(record *record, resource member.Resource) outcome {
	if record.unreadSince.IsZero() {
		record.unreadSince = s.clock.Now()
	}
	o := outcome{retry: later}
	if s.clock.Since(record.unreadSince) > unreadPatience {
		o.reason = workv1alpha1.AppliedReasonFailed
		o.message = fmt.Sprintf("the member does not list %s for the fleet", resource.GroupResource())
	}
	return o
}

// read gets the object from the member, nil when it does not exist.
func (s *session) read(ctx context.Context, resource member.Resource, t target) (*observed, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	object, err := s.objects(resource, t).Get(ctx, t.name, metav1.GetOptions{})
	if isMissing(err) {
		return nil, nil
	}
	if err != nil {
		if apierrors.IsNotFound(err) {
			s.member.Refresh()
		}
		return nil, fmt.Errorf("get %s from member %q: %w", t, s.cluster, err)
	}
	return observe(object, s.interpretations.Interpreter())
}

// conflictMessage says why an object is not adopted.
func conflictMessage(t target, diff difference) string {
	return fmt.Sprintf("%s exists, was not created by the fleet and differs in %s", t, listed(diff.foreign()))
}

func disputeMessage(diff difference) string {
	return "somebody else keeps changing in the member: " + listed(diff.paths())
}

// listed joins paths, a few of them.
func listed(paths []string) string {
	const most = 10
	if len(paths) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(paths[:most], ", "), len(paths)-most)
	}
	return strings.Join(paths, ", ")
}
