// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package machinery

import (
	"context"
	"errors"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
)

// refusing is a plugin that calls webhooks, and they refuse.
type refusing struct{ *admission.Handler }

var errRefused = errors.New("refused")

func (refusing) Admit(context.Context, admission.Attributes, admission.ObjectInterfaces) error {
	return errRefused
}

func (refusing) Validate(context.Context, admission.Attributes, admission.ObjectInterfaces) error {
	return errRefused
}

func TestSpare(t *testing.T) {
	cases := map[string]struct {
		reason                          string
		plugin                          string
		group, resource, sub, namespace string
		want                            error
	}{
		"Binding":     {reason: "Decisions are not asked about.", plugin: "ValidatingAdmissionWebhook", group: "work.fleet.dev", resource: "resourcebindings", namespace: "shop"},
		"Feedback":    {reason: "Nor are reports.", plugin: "MutatingAdmissionWebhook", group: "work.fleet.dev", resource: "workfeedbacks", namespace: "fleet-cluster-a"},
		"Status":      {reason: "Nor is what members say about themselves.", plugin: "ValidatingAdmissionWebhook", group: "cluster.fleet.dev", resource: "clusters", sub: "status"},
		"Lease":       {reason: "Nor that they live.", plugin: "ValidatingAdmissionWebhook", group: "coordination.k8s.io", resource: "leases", namespace: "fleet-cluster-a"},
		"Tunnel":      {reason: "Nor how they are reached, which the webhook may need.", plugin: "ValidatingAdmissionWebhook", group: "cluster.fleet.dev", resource: "clusters", sub: "tunnel"},
		"Proxied":     {reason: "Nor what is asked of them.", plugin: "ValidatingAdmissionWebhook", group: "cluster.fleet.dev", resource: "clusters", sub: "proxy"},
		"Credentials": {reason: "Nor do they see the tokens of another.", plugin: "MutatingAdmissionWebhook", resource: "secrets", namespace: "fleet-cluster-a"},
		"Secret":      {reason: "Secrets of users they do.", plugin: "MutatingAdmissionWebhook", resource: "secrets", namespace: "shop", want: errRefused},
		"OtherLease":  {reason: "Leases of others are.", plugin: "ValidatingAdmissionWebhook", group: "coordination.k8s.io", resource: "leases", namespace: "shop", want: errRefused},
		"Cluster":     {reason: "So is who is a member.", plugin: "ValidatingAdmissionWebhook", group: "cluster.fleet.dev", resource: "clusters", want: errRefused},
		"Policy":      {reason: "And where users want their workloads.", plugin: "MutatingAdmissionWebhook", group: "policy.fleet.dev", resource: "propagationpolicies", namespace: "shop", want: errRefused},
		"Workload":    {reason: "And these.", plugin: "MutatingAdmissionWebhook", group: "apps", resource: "deployments", namespace: "shop", want: errRefused},
		"NotWebhooks": {reason: "Other plugins see everything.", plugin: "ResourceQuota", group: "work.fleet.dev", resource: "resourcebindings", namespace: "shop", want: errRefused},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			plugin := Spare(refusing{admission.NewHandler(admission.Create)}, tc.plugin)
			attributes := admission.NewAttributesRecord(nil, nil, schema.GroupVersionKind{}, tc.namespace, "x",
				schema.GroupVersionResource{Group: tc.group, Version: "v1", Resource: tc.resource}, tc.sub, admission.Create, nil, false, nil)
			if err := plugin.(admission.MutationInterface).Admit(t.Context(), attributes, nil); !errors.Is(err, tc.want) {
				t.Errorf("\n%s\nAdmit(...): want %v, got %v", tc.reason, tc.want, err)
			}
			if err := plugin.(admission.ValidationInterface).Validate(t.Context(), attributes, nil); !errors.Is(err, tc.want) {
				t.Errorf("\n%s\nValidate(...): want %v, got %v", tc.reason, tc.want, err)
			}
			if !plugin.Handles(admission.Create) || plugin.Handles(admission.Delete) {
				t.Errorf("\n%s\nHandles(...) is not the plugin's", tc.reason)
			}
		})
	}
}

// TestOneSided: a plugin that only validates does not mutate either way.
func TestOneSided(t *testing.T) {
	plugin := Spare(admission.NewHandler(admission.Create), "ValidatingAdmissionWebhook")
	attributes := admission.NewAttributesRecord(nil, nil, schema.GroupVersionKind{}, "", "x", schema.GroupVersionResource{}, "", admission.Create, nil, false, nil)
	if err := plugin.(admission.MutationInterface).Admit(t.Context(), attributes, nil); err != nil {
		t.Errorf("Admit(...) of a plugin that does not: %v", err)
	}
	if err := plugin.(admission.ValidationInterface).Validate(t.Context(), attributes, nil); err != nil {
		t.Errorf("Validate(...) of a plugin that does not: %v", err)
	}
}
