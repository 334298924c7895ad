// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package registration

import (
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/pkg/apis/wellknown"
)

// Reasons of the condition Accepted.
const (
	// ReasonAccepted says that the member is accepted and nobody else waits.
	ReasonAccepted = "Accepted"
	// ReasonNotAccepted says that an administrator has to accept the member.
	ReasonNotAccepted = "NotAccepted"
	// ReasonAnotherKey says that the member is accepted and somebody with another
	// key asks to be it.
	ReasonAnotherKey = "AnotherKeyWaits"
)

// mostKeys bounds how many keys a message lists.
const mostKeys = 3

// candidate is a first request that waits.
type candidate struct {
	key, requester string
}

// accepted returns the condition Accepted of a Cluster in mode Pull.
func accepted(cluster *clusterv1alpha1.Cluster, waiting []candidate) metav1.Condition {
	registered := cluster.Annotations[wellknown.AnnotationRegistrationKey]
	others := slices.DeleteFunc(slices.Clone(waiting), func(c candidate) bool { return c.key == registered })
	condition := metav1.Condition{Type: clusterv1alpha1.ClusterConditionAccepted, Status: metav1.ConditionFalse, Reason: ReasonNotAccepted}
	switch {
	case cluster.Spec.Accepted && len(others) > 0:
		condition.Status, condition.Reason = metav1.ConditionTrue, ReasonAnotherKey
		condition.Message = fmt.Sprintf("%s to act for this cluster instead of %s; if its agent was installed anew, run \"fleet accept %s\", otherwise delete the bootstrap token",
			wanting(others), known(registered), cluster.Name)
	case cluster.Spec.Accepted && registered == "":
		condition.Status, condition.Reason = metav1.ConditionTrue, ReasonAccepted
		condition.Message = "no agent has registered yet"
	case cluster.Spec.Accepted:
		condition.Status, condition.Reason = metav1.ConditionTrue, ReasonAccepted
		condition.Message = fmt.Sprintf("the agent registered with key %s acts for this cluster", registered)
	case len(others) > 0:
		condition.Message = fmt.Sprintf("%s to act for this cluster, and %s is registered; see which is yours and run \"fleet accept %s\"",
			wanting(others), known(registered), cluster.Name)
	case registered == "":
		condition.Message = "no agent has registered yet"
	default:
		condition.Message = fmt.Sprintf("key %s of the cluster with id %s waits; if it is yours, run \"fleet accept %s\"", registered, cluster.Spec.ID, cluster.Name)
	}
	return condition
}

func known(key string) string {
	if key == "" {
		return "no key"
	}
	return "key " + key
}

// wanting lists who waits, in a stable order.
func wanting(candidates []candidate) string {
	var keys []string
	for _, c := range candidates {
		keys = append(keys, fmt.Sprintf("%s (by %s)", c.key, c.requester))
	}
	slices.Sort(keys)
	keys = slices.Compact(keys)
	more := ""
	if len(keys) > mostKeys {
		more, keys = fmt.Sprintf(" and %d more", len(keys)-mostKeys), keys[:mostKeys]
	}
	if len(keys) == 1 && more == "" {
		return "key " + keys[0] + " asks"
	}
	return "keys " + strings.Join(keys, ", ") + more + " ask"
}
