// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package scheduler

import (
	"errors"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	policyv1alpha1 "fleet.dev/fleet/pkg/apis/policy/v1alpha1"
	"fleet.dev/fleet/pkg/scheduler/policy"
	"fleet.dev/fleet/pkg/scheduler/source"
	"fleet.dev/fleet/pkg/scheduler/template"
)

// withDeps has a policy put Deployments on members with what they need.
func (h *harness) withDeps(propagate bool, names ...string) {
	affinity := named(names...)
	p := &policyv1alpha1.ClusterPropagationPolicy{ObjectMeta: metav1.ObjectMeta{Name: "mine", UID: "mine"}}
	p.Spec.ResourceSelectors = []policyv1alpha1.ResourceSelector{{APIVersion: "apps/v1", Kind: "Deployment"}}
	p.Spec.Placement.ClusterAffinity = &affinity
	p.Spec.PropagateDeps = propagate
	h.setPropagation(h.ctx, p)
}

func needing(name, config string) *appsv1.Deployment {
	object := deployment(name, 2)
	object.Spec.Template.Spec.Containers[0].EnvFrom = []corev1.EnvFromSource{{ConfigMapRef: &corev1.ConfigMapEnvSource{
		LocalObjectReference: corev1.LocalObjectReference{Name: config},
	}}}
	return object
}

func TestNeededTravels(t *testing.T) {
	inBubble(t, func(h *harness) {
		h.member("m1")
		h.member("m2")
		h.withDeps(true, "m1")
		config := h.create(configMap("config"))
		other := h.create(configMap("other"))
		web := h.create(needing("web", "config"))
		h.settle()
		h.want(config, "+m1", "No policy picks it; it goes where it is needed.")
		h.want(other, "none", "What nobody needs stays.")
		h.wantWrites(2, "One for the workload, one for what it needs.")

		h.withDeps(true, "m2")
		h.settle()
		h.want(config, "+m1 +m2", "Both copies need it while the workload moves.")
		h.store.healthy(web, "m2")
		h.settle()
		h.want(config, "+m2 -m1", "The old one is gone.")
		h.store.confirm(config)

		api := h.create(needing("api", "config"))
		h.settle()
		h.want(config, "+m2 +m2", "Two need it.")
		h.delete(web)
		h.settle()
		h.want(config, "+m2", "One does still.")

		h.create(needing("api", "other"))
		h.settle()
		h.want(config, "-m2", "Nobody does.")
		h.want(other, "+m2", "The other is needed now.")
		h.store.confirm(config)
		h.settle()
		h.want(config, "none", "Nothing is left of it.")

		h.withDeps(false, "m2")
		h.settle()
		h.want(other, "-m2", "The policy takes nothing along any more.")

		h.withDeps(true, "m2")
		h.settle()
		h.removePropagation(policy.Ref{Name: "mine"})
		h.settle()
		h.want(api, "m2", "A workload without a policy stays.")
		h.want(other, "+m2", "So does what it needs.")
	})
}

func TestNeededIsPlacedToo(t *testing.T) {
	inBubble(t, func(h *harness) {
		h.member("m1")
		h.member("m2")
		h.withDeps(true, "m1")
		affinity := named("m2")
		h.clusterPolicy("config", "v1", "ConfigMap", policyv1alpha1.Placement{ClusterAffinity: &affinity})
		config := h.create(configMap("config"))
		h.create(needing("web", "config"))
		h.settle()
		h.want(config, "m2 +m1", "Its own policy counts beside the need.")
		h.removePropagation(policy.Ref{Name: "config"})
		h.settle()
		h.want(config, "m2 +m1", "What is placed stays.")
	})
}

// TestNeededByUnknown: a workload that is missing from memory is not gone.
func TestNeededByUnknown(t *testing.T) {
	inBubble(t, func(h *harness) {
		h.member("m1")
		h.withDeps(true, "m1")
		config := h.create(configMap("config"))
		web := h.create(needing("web", "config"))
		h.settle()
		before := h.fleet.Get(web)
		h.fleet.liveErr = errors.New("no route to host")
		h.fleet.set(web, nil)
		h.OnTemplate(before, nil)
		for range 3 {
			h.scheduleOne(h.ctx)
		}
		h.want(config, "+m1", "Nobody said that the workload does not exist.")
		h.fleet.liveErr = nil
		h.settle()
		h.want(web, "-m1", "Now somebody does.")
		h.want(config, "-m1", "And it is needed no more.")
	})
}

func TestNeededInMemberThatLeaves(t *testing.T) {
	inBubble(t, func(h *harness) {
		h.member("m1")
		h.member("m2")
		h.withDeps(true)
		config := h.create(configMap("config"))
		web := h.create(needing("web", "config"))
		h.settle()
		h.want(config, "+m1 +m2", "It is needed on both.")
		h.member("m1", leaving)
		h.settle()
		h.store.drop(config, "m1")
		h.settle()
		h.want(config, "+m2 -m1", "A member that is being unjoined is not taken again.")
		h.store.drop(web, "m1")
		h.settle()
		h.want(config, "+m2 -m1", "Nor later.")
	})
}

// TestBelongsTravels: what is of use to a workload goes where it goes, and what that
// needs.
func TestBelongsTravels(t *testing.T) {
	inBubble(t, func(h *harness) {
		h.member("m1")
		h.member("m2")
		h.withDeps(true, "m1")
		service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"}}
		service.Spec.Selector = map[string]string{"app": "web"}
		ingress := &networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "www"}}
		ingress.Spec.TLS = []networkingv1.IngressTLS{{SecretName: "tls"}}
		ingress.Spec.DefaultBackend = &networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{Name: "web"}}
		budget := &policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"}}
		budget.Spec.Selector = &metav1.LabelSelector{MatchLabels: service.Spec.Selector}
		web := deployment("web", 2)
		web.Spec.Template.Labels = map[string]string{"app": "web", "release": "1"}

		autoscaler := &autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"}}
		autoscaler.Spec.ScaleTargetRef = autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "web"}

		scales := h.create(autoscaler)
		certificate := h.create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "tls"}})
		inFront, selects, protects := h.create(ingress), h.create(service), h.create(budget)
		h.settle()
		h.want(inFront, "none", "No workload is there.")
		h.wantWrites(0, "There is nothing to write.")
		workload := h.create(web)
		h.settle()
		for _, along := range []template.Key{inFront, selects, protects, scales, certificate} {
			h.want(along, "+m1", "It goes along with the workload.")
		}
		h.wantWrites(6, "One for each.")

		h.withDeps(true, "m2")
		h.settle()
		h.store.healthy(workload, "m2")
		h.settle()
		h.want(certificate, "+m2 -m1", "It moves with the workload, over the Service and the Ingress.")

		service.Spec.Selector = map[string]string{"app": "other"}
		h.create(service)
		h.settle()
		h.want(selects, "-m1 -m2", "It selects nothing here any more.")
		h.want(certificate, "-m1 -m2", "Nor is what is in front of it of use here.")
		h.want(protects, "+m2 -m1", "The budget still is.")

		h.delete(workload)
		h.settle()
		h.want(protects, "-m1 -m2", "There is nothing to protect.")
		for _, along := range []template.Key{inFront, selects, protects, scales, certificate} {
			h.store.confirm(along)
		}
		h.settle()
		for _, along := range []template.Key{inFront, selects, protects, scales, certificate} {
			h.want(along, "none", "Nothing is left of it.")
		}
	})
}

// rollout stores a custom workload that needs a ConfigMap.
func (h *harness) rollout(config string) template.Key {
	links := &template.Links{Needs: []template.Key{{Kind: "ConfigMap", Namespace: "shop", Name: config}}}
	return h.put(rollouts, &metav1.ObjectMeta{Namespace: "shop", Name: "web", UID: "web"}, template.Traits{Links: links})
}

// withRolloutDeps has a policy put Rollouts on a member with what they need.
func (h *harness) withRolloutDeps() {
	h.fleet.define(rollouts, "rollouts", true)
	h.member("m1", withRollouts)
	affinity := named("m1")
	p := &policyv1alpha1.ClusterPropagationPolicy{ObjectMeta: metav1.ObjectMeta{Name: "mine", UID: "mine"}}
	p.Spec.ResourceSelectors = []policyv1alpha1.ResourceSelector{{APIVersion: "argoproj.io/v1alpha1", Kind: "Rollout"}}
	p.Spec.Placement.ClusterAffinity = &affinity
	p.Spec.PropagateDeps = true
	h.setPropagation(h.ctx, p)
}

// TestNeededByUnlisted: a scheduler that starts knows the bindings before it knows
// custom workloads.
func TestNeededByUnlisted(t *testing.T) {
	kind := rollouts.GroupKind()
	cases := map[string]struct {
		reason string
		then   func(h *harness, rollout template.Key)
		want   string
	}{
		"NotDiscovered": {
			reason: "Its kind is not even known to be served.",
			then: func(h *harness, _ template.Key) {
				h.fleet.liveErr = source.ErrNotServed
				h.fleet.unserved = map[schema.GroupKind]bool{kind: true}
				h.OnUnserved(kind)
			},
			want: "+m1",
		},
		"StillNeeded": {
			reason: "It is listed and needs it.",
			then: func(h *harness, _ template.Key) {
				h.rollout("config")
				h.fleet.unlisted = nil
				h.OnListed(kind)
			},
			want: "+m1",
		},
		"NotNeeded": {
			reason: "It needs another since nobody looked.",
			then: func(h *harness, _ template.Key) {
				h.rollout("other")
				h.fleet.unlisted = nil
				h.OnListed(kind)
			},
			want: "-m1",
		},
		"Deleted": {
			reason: "It was deleted while nobody looked.",
			then: func(h *harness, _ template.Key) {
				h.fleet.unlisted = nil
				h.OnListed(kind)
			},
			want: "-m1",
		},
		"Gone": {
			reason: "Its kind never comes back and its binding is gone.",
			then: func(h *harness, rollout template.Key) {
				binding := h.store.of(rollout)
				h.store.remove(rollout)
				h.removeBinding(binding)
			},
			want: "-m1",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(h *harness) {
				h.withRolloutDeps()
				config := h.create(configMap("config"))
				rollout := h.rollout("config")
				h.settle()
				h.want(config, "+m1", "It is needed.")

				again := newHarness(t)
				defer again.queue.ShutDown()
				again.store, again.bindings, again.uids = h.store, h.store, 100
				again.fleet.unlisted = map[schema.GroupKind]bool{kind: true}
				again.withRolloutDeps()
				for _, key := range []template.Key{config, rollout} {
					again.setBinding(again.store.of(key))
				}
				again.create(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "config", UID: h.fleet.Get(config).UID}})
				again.settle()
				again.want(config, "+m1", "Nobody knows of the workload yet.")
				tc.then(again, rollout)
				again.settle()
				again.want(config, tc.want, tc.reason)
			})
		})
	}
}
