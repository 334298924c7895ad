// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package packing

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	policyv1alpha1 "fleet.dev/fleet/pkg/apis/policy/v1alpha1"
	"fleet.dev/fleet/pkg/generated/clientset/versioned"
	"fleet.dev/fleet/test/testbed"
	"fleet.dev/fleet/test/testbed/toolchain"
)

const (
	setUpTimeout = 4 * time.Minute
	// membersCount members with so many nodes each.
	membersCount, nodesCount = 3, 6
)

var onePod = resource.NewQuantity(1, resource.DecimalSI)

// rig is a fleet over tight members.
type rig struct {
	*testing.T

	kube    kubernetes.Interface // of the fleet
	fleet   versioned.Interface
	members map[string]kubernetes.Interface
}

func newRig(t *testing.T, random *rand.Rand) *rig {
	t.Helper()
	repo, err := toolchain.Repo(".")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), setUpTimeout)
	defer cancel()
	bed, err := testbed.OpenEmpty(ctx, testbed.Config{
		Dir: filepath.Join(repo, "_run", "packing"), Bin: filepath.Join(repo, "_bin"), Report: func(line string) { t.Log(line) },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(bed.Stop(context.WithoutCancel(t.Context())), bed.Close()); err != nil {
			t.Error(err)
		}
	})
	r := &rig{T: t, members: map[string]kubernetes.Interface{}}
	if err := r.start(ctx, bed, random); err != nil {
		t.Fatal(err)
	}
	if err := r.allow(ctx); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rig) start(ctx context.Context, bed *testbed.Bed, random *rand.Rand) error {
	fleet, err := bed.StartFleet(ctx, testbed.FleetConfig{Args: []string{"--embedded-etcd-unsafe-no-fsync"}})
	if err != nil {
		return err
	}
	config, err := fleet.RESTConfig()
	if err != nil {
		return err
	}
	// The limits of a client are not what is compared here.
	config.QPS, config.Burst = 500, 500
	if r.kube, err = kubernetes.NewForConfig(config); err != nil {
		return err
	}
	if r.fleet, err = versioned.NewForConfig(config); err != nil {
		return err
	}
	var configs []testbed.MemberConfig
	for i := range membersCount {
		configs = append(configs, testbed.MemberConfig{Name: fmt.Sprintf("member%d", i+1), Nodes: 1})
	}
	members, err := bed.StartMembers(ctx, configs...)
	if err != nil {
		return err
	}
	for _, m := range members {
		if err := r.join(ctx, fleet, m, random); err != nil {
			return err
		}
	}
	return fleet.AwaitReady(ctx, members...)
}

// join gives a member tight nodes in place of its own before the fleet sees it.
func (r *rig) join(ctx context.Context, fleet *testbed.Fleet, m *testbed.Member, random *rand.Rand) error {
	config, err := m.RESTConfig()
	if err != nil {
		return err
	}
	config.QPS, config.Burst = 500, 500
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	r.members[m.Name()] = client
	roomy, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	if err := m.AddNodes(ctx, randomNodes(random, nodesCount)...); err != nil {
		return err
	}
	for i := range roomy.Items {
		if err := client.CoreV1().Nodes().Delete(ctx, roomy.Items[i].Name, metav1.DeleteOptions{}); err != nil {
			return err
		}
	}
	return fleet.Join(ctx, m)
}

// allow makes the namespace, whose Deployments are divided by capacity.
func (r *rig) allow(ctx context.Context) error {
	if _, err := r.kube.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, metav1.CreateOptions{}); err != nil {
		return err
	}
	policy := &policyv1alpha1.PropagationPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "by-capacity"},
		Spec: policyv1alpha1.PropagationSpec{
			ResourceSelectors: []policyv1alpha1.ResourceSelector{{APIVersion: "apps/v1", Kind: "Deployment"}},
			Placement: policyv1alpha1.Placement{ReplicaScheduling: &policyv1alpha1.ReplicaSchedulingStrategy{
				ReplicaSchedulingType:     policyv1alpha1.Divided,
				ReplicaDivisionPreference: policyv1alpha1.Weighted,
				WeightPreference:          &policyv1alpha1.ClusterPreferences{DynamicWeight: policyv1alpha1.DynamicWeightByAvailableReplicas},
			}},
		},
	}
	_, err := r.fleet.PolicyV1alpha1().PropagationPolicies(namespace).Create(ctx, policy, metav1.CreateOptions{})
	return err
}
