// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package clusteracceptance

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"fleet.dev/fleet/pkg/apis/cluster"
	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/pkg/apis/wellknown"
)

func member(changes ...func(*cluster.Cluster)) *cluster.Cluster {
	c := &cluster.Cluster{
		ObjectMeta: metav1.ObjectMeta{Name: "paris", Annotations: map[string]string{wellknown.AnnotationRegistrationKey: "sha256:1"}},
		Spec:       cluster.ClusterSpec{SyncMode: cluster.Pull, ID: "1"},
	}
	for _, change := range changes {
		change(c)
	}
	return c
}

func accepted(c *cluster.Cluster) { c.Spec.Accepted = true }
func push(c *cluster.Cluster)     { c.Spec.SyncMode = cluster.Push }
func noKey(c *cluster.Cluster)    { c.Annotations = nil }
func otherKey(c *cluster.Cluster) {
	c.Annotations = map[string]string{wellknown.AnnotationRegistrationKey: "sha256:2"}
}
func otherID(c *cluster.Cluster) { c.Spec.ID = "2" }
func region(c *cluster.Cluster)  { c.Spec.Region = "eu" }

func TestValidate(t *testing.T) {
	tests := map[string]struct {
		reason        string
		given, before *cluster.Cluster
		subresource   string
		asks          bool
	}{
		"Accept":         {reason: "that is what the verb is for", given: member(accepted), before: member(), asks: true},
		"CreateAccepted": {reason: "creating is no way around", given: member(accepted, noKey), asks: true},
		"CreatePending":  {reason: "a Cluster that waits may be prepared", given: member(noKey)},
		"CreateKey":      {reason: "who accepts it later accepts the key", given: member(), asks: true},
		"CreatePush":     {reason: "a member in mode Push has no agent", given: member(push, accepted, noKey)},
		"PushToPull":     {reason: "changing the mode is no way around", given: member(accepted), before: member(push, accepted), asks: true},
		"Reject":         {reason: "taking trust away takes no more than writing", given: member(), before: member(accepted)},
		"Key":            {reason: "another key is another agent", given: member(accepted, otherKey), before: member(accepted), asks: true},
		"PendingKey":     {reason: "also while it waits", given: member(otherKey), before: member(), asks: true},
		"DropKey":        {reason: "without a key nobody is trusted, but who drops it can be followed by who sets it", given: member(noKey), before: member(), asks: true},
		"ID":             {reason: "another id is another cluster", given: member(accepted, otherID), before: member(accepted), asks: true},
		"PendingID":      {reason: "an id is filled in before it is accepted", given: member(otherID), before: member()},
		"Other":          {reason: "all else is none of its business", given: member(accepted, region), before: member(accepted)},
		"Status":         {reason: "a status gives no trust", given: member(accepted), before: member(), subresource: "status"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			for _, decision := range []authorizer.Decision{authorizer.DecisionAllow, authorizer.DecisionNoOpinion, authorizer.DecisionDeny} {
				var asked []authorizer.AttributesRecord
				plugin := New()
				plugin.SetAuthorizer(authorizer.AuthorizerFunc(func(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
					asked = append(asked, a.(authorizer.AttributesRecord))
					return decision, "because", nil
				}))
				jane := &user.DefaultInfo{Name: "jane"}
				operation, old := admission.Create, runtime.Object(nil)
				if tc.before != nil {
					operation, old = admission.Update, tc.before
				}
				err := plugin.Validate(t.Context(), admission.NewAttributesRecord(tc.given, old, clusterv1alpha1.SchemeGroupVersion.WithKind("Cluster"), "",
					"paris", clusterv1alpha1.SchemeGroupVersion.WithResource("clusters"), tc.subresource, operation, nil, false, jane), nil)
				var want []authorizer.AttributesRecord
				if tc.asks {
					want = []authorizer.AttributesRecord{{
						User: jane, Verb: "accept", APIGroup: "cluster.fleet.dev", APIVersion: "v1alpha1", Resource: "clusters", Name: "paris", ResourceRequest: true,
					}}
				}
				if diff := cmp.Diff(want, asked); diff != "" {
					t.Errorf("%s: what is asked, -want +got:\n%s", tc.reason, diff)
				}
				refused := err != nil && strings.Contains(err.Error(), `takes the verb "accept" on this cluster: because`)
				if refused != (tc.asks && decision != authorizer.DecisionAllow) {
					t.Errorf("%s: %s: got %v", tc.reason, decision, err)
				}
			}
		})
	}
}
