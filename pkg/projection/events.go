// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package projection

import (
	"iter"
	"regexp"
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/kubernetes/pkg/apis/core"
)

// Templates knows what a member has of the fleet. It is safe for concurrent use, and
// answers at once.
type Templates interface {
	// Template returns the uid of the fleet's object that a member has a copy of, false
	// when the member's object is not the fleet's.
	Template(member string, kind schema.GroupKind, namespace, name string) (types.UID, bool)
}

// Events are the Events in members about what the fleet has there, and about what is made
// of that, and about Nodes. Others, in the same namespaces, are not the fleet's.
func Events(templates Templates) Kind {
	return Kind{
		Resource:   corev1.SchemeGroupVersion.WithResource("events"),
		Kind:       "Event",
		Namespaced: true,
		Suffixed:   true,
		ReadOnly:   true,
		Fleeting:   true,
		Owner:      eventRecord,
		SetOwner:   involveRecord,
		New:        func() runtime.Object { return &corev1.Event{} },
		NewList:    func() runtime.Object { return &corev1.EventList{} },
		Project: func(member string, object runtime.Object) bool {
			event, ok := object.(*corev1.Event)
			return ok && projectEvent(member, event, templates)
		},
	}
}

// projectEvent has an Event be about the fleet's object, and say which member it comes
// from: in its source, and for people, who are shown little of that, in its message.
func projectEvent(member string, event *corev1.Event, templates Templates) bool {
	if !involve(member, &event.InvolvedObject, templates) {
		return false
	}
	event.InvolvedObject.ResourceVersion = ""
	if event.Related != nil {
		event.Related.ResourceVersion = ""
	}
	event.Message = member + ": " + event.Message
	if event.Source.Host == "" {
		event.Source.Host = member
	} else {
		event.Source.Host = NodeName(member, event.Source.Host)
	}
	return true
}

// Kinds whose controllers make others.
var (
	podKind         = schema.GroupKind{Kind: "Pod"}
	claimKind       = schema.GroupKind{Kind: "PersistentVolumeClaim"}
	nodeKind        = schema.GroupKind{Kind: "Node"}
	controllerKind  = schema.GroupKind{Kind: "ReplicationController"}
	deploymentKind  = schema.GroupKind{Group: appsv1.GroupName, Kind: "Deployment"}
	daemonSetKind   = schema.GroupKind{Group: appsv1.GroupName, Kind: "DaemonSet"}
	statefulSetKind = schema.GroupKind{Group: appsv1.GroupName, Kind: "StatefulSet"}
	jobKind         = schema.GroupKind{Group: batchv1.GroupName, Kind: "Job"}
	cronJobKind     = schema.GroupKind{Group: batchv1.GroupName, Kind: "CronJob"}
)

// Parts of names that controllers give: of five letters that say nothing, of the hash of a
// Pod template, of ordinals, indexes and times.
const (
	randomPart = "-[bcdfghjklmnpqrstvwxz2456789]{5}"
	hashPart   = "-[bcdfghjklmnpqrstvwxz2456789]{1,10}"
	numberPart = "-[0-9]+"
)

// maker is what makes objects whose names are its own and more.
type maker struct {
	kinds []schema.GroupKind
	name  *regexp.Regexp
}

func makes(parts string, kinds ...schema.GroupKind) maker {
	return maker{kinds: kinds, name: regexp.MustCompile("^(.+)" + parts + "$")}
}

// makers are what makes objects of a kind.
var makers = map[schema.GroupKind][]maker{
	podKind: {
		makes(randomPart, replicaSetKind.GroupKind(), daemonSetKind, jobKind, controllerKind),
		makes(numberPart, statefulSetKind),
		makes(hashPart+randomPart, deploymentKind),
		makes(numberPart+randomPart, cronJobKind, jobKind),
		makes(numberPart+numberPart+randomPart, cronJobKind),
	},
	replicaSetKind.GroupKind(): {makes(hashPart, deploymentKind)},
	jobKind:                    {makes(numberPart, cronJobKind)},
}

// involve makes a reference to a member's object one to the fleet's. It returns false
// when that is not the fleet's.
func involve(member string, reference *corev1.ObjectReference, templates Templates) bool {
	kind := schema.FromAPIVersionAndKind(reference.APIVersion, reference.Kind).GroupKind()
	if kind == nodeKind {
		name := NodeName(member, reference.Name)
		if string(reference.UID) == reference.Name { // as kubelets say it
			reference.UID = types.UID(name)
		}
		reference.Name = name
		return true
	}
	if uid, ok := templates.Template(member, kind, reference.Namespace, reference.Name); ok {
		reference.UID = uid
		return true
	}
	return madeOfFleets(member, kind, reference.Namespace, reference.Name, templates)
}

// eventRecord is the key of the record that a ReplicaSet has in the fleet: that of the
// same name.
func eventRecord(object runtime.Object) string {
	event, ok := object.(*corev1.Event)
	if !ok || event.InvolvedObject.Kind != replicaSetKind.Kind {
		return ""
	}
	return recordKey(event.InvolvedObject.Namespace, event.InvolvedObject.Name)
}

// involveRecord has an Event be about the fleet's record.
func involveRecord(object runtime.Object, owner Owner) bool {
	event, ok := object.(*core.Event)
	if !ok || event.InvolvedObject.UID == owner.Reference.UID {
		return false
	}
	event.InvolvedObject.UID = owner.Reference.UID
	return true
}

// madeOfFleets says whether an object was made of one that the fleet has in the member,
// by the names that controllers give.
func madeOfFleets(member string, kind schema.GroupKind, namespace, object string, templates Templates) bool {
	if kind == claimKind {
		return claimOfFleets(member, namespace, object, templates)
	}
	for _, maker := range makers[kind] {
		name := maker.name.FindStringSubmatch(object)
		if name != nil && slices.ContainsFunc(maker.kinds, func(made schema.GroupKind) bool {
			_, ok := templates.Template(member, made, namespace, name[1])
			return ok
		}) {
			return true
		}
	}
	return false
}

// claimOfFleets says whether a claim, <template>-<set>-<ordinal>, may be that of a
// StatefulSet the fleet has in the member.
func claimOfFleets(member, namespace, name string, templates Templates) bool {
	for _, set := range setsOf(name) {
		if _, ok := templates.Template(member, statefulSetKind, namespace, set); ok {
			return true
		}
	}
	return false
}

// setsOf are the claim templates and the StatefulSets that a claim may be of, by its name:
// both may have dashes in their names.
func setsOf(claim string) iter.Seq2[string, string] {
	return func(yield func(template, set string) bool) {
		at := strings.LastIndexByte(claim, '-')
		if at < 0 {
			return
		}
		if _, err := strconv.ParseUint(claim[at+1:], 10, 31); err != nil {
			return
		}
		for i := range at {
			if claim[i] == '-' && !yield(claim[:i], claim[i+1:at]) {
				return
			}
		}
	}
}
