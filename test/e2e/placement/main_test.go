// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"context"
	"flag"
	"fmt"
	"os"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	fleetclient "fleet.dev/fleet/pkg/generated/clientset/versioned"
	"fleet.dev/fleet/test/testbed"
	"fleet.dev/fleet/test/testbed/suite"
)

// together is how many cases run side by side: they wait most of the time.
const together = "12"

// Names of the members, as in the package comment.
const (
	alpha   = "alpha"
	bravo   = "bravo"
	charlie = "charlie"
	delta   = "delta"
)

// memberFacts are what makes the members differ.
var memberFacts = []struct {
	config testbed.MemberConfig
	// facts is a merge patch for the Cluster.
	facts string
}{
	{
		config: testbed.MemberConfig{Name: alpha, Nodes: 3, Region: "eu", Zones: []string{"eu-1"}},
		facts:  `{"metadata": {"labels": {"env": "prod", "tier": "gold"}}, "spec": {"provider": "aws"}}`,
	},
	{
		config: testbed.MemberConfig{Name: bravo, Nodes: 3, Region: "eu", Zones: []string{"eu-2"}},
		facts:  `{"metadata": {"labels": {"env": "prod", "tier": "silver"}}, "spec": {"provider": "gcp"}}`,
	},
	{
		config: testbed.MemberConfig{Name: charlie, Nodes: 3, Region: "us", Zones: []string{"us-1", "us-2"}},
		facts:  `{"metadata": {"labels": {"env": "stage", "tier": "gold"}}, "spec": {"provider": "aws"}}`,
	},
	{
		config: testbed.MemberConfig{Name: delta, Nodes: 3, Region: "us", Zones: []string{"us-2"}, DialsOut: true},
		facts: `{"metadata": {"labels": {"env": "stage", "tier": "silver"}},
			"spec": {"provider": "gcp", "taints": [{"key": "dedicated", "value": "batch", "effect": "NoSchedule"}]}}`,
	},
}

// bed is what all cases share. TestMain sets it.
var bed *environment

// environment is a fleet with its members.
type environment struct {
	dir, bin string
	bed      *testbed.Bed
	fleet    *testbed.Fleet
	// fleetObjects and fleetAPI are clients of the fleet's administrator.
	fleetObjects dynamic.Interface
	fleetKube    kubernetes.Interface
	fleetAPI     fleetclient.Interface
	members      []*member
}

// member is a joined cluster.
type member struct {
	*testbed.Member

	memberObjects dynamic.Interface
}

func TestMain(m *testing.M) {
	flag.Parse()
	if err := runTogether(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(suite.Main(m, "_run/e2e-placement", setUp))
}

// runTogether has more cases run side by side than there are processors, unless
// somebody asks for another number.
func runTogether() error {
	asked := false
	flag.Visit(func(f *flag.Flag) { asked = asked || f.Name == "test.parallel" })
	if asked {
		return nil
	}
	return flag.Set("test.parallel", together)
}

func setUp(ctx context.Context, b suite.Bed) error {
	bed = &environment{dir: b.Dir, bin: b.Bin, bed: b.Bed}
	if err := bed.startFleet(ctx); err != nil {
		return err
	}
	return bed.startMembers(ctx)
}

func (e *environment) startFleet(ctx context.Context) (err error) {
	if e.fleet, err = e.bed.StartFleet(ctx, testbed.FleetConfig{}); err != nil {
		return err
	}
	config, err := e.fleet.RESTConfig()
	if err != nil {
		return err
	}
	if e.fleetObjects, err = dynamic.NewForConfig(config); err != nil {
		return err
	}
	if e.fleetKube, err = kubernetes.NewForConfig(config); err != nil {
		return err
	}
	e.fleetAPI, err = fleetclient.NewForConfig(config)
	return err
}

// startMembers starts the members side by side and joins each.
func (e *environment) startMembers(ctx context.Context) error {
	var configs []testbed.MemberConfig
	for _, m := range memberFacts {
		configs = append(configs, m.config)
	}
	started, err := e.bed.StartMembers(ctx, configs...)
	if err != nil {
		return err
	}
	for i, m := range started {
		if err := e.join(ctx, m, memberFacts[i].facts); err != nil {
			return err
		}
	}
	return e.fleet.AwaitReady(ctx, started...)
}

// join makes a member part of the fleet and adds the nodes that cases want in it.
func (e *environment) join(ctx context.Context, m *testbed.Member, facts string) error {
	config, err := m.RESTConfig()
	if err != nil {
		return err
	}
	memberObjects, err := dynamic.NewForConfig(rest.CopyConfig(config))
	if err != nil {
		return err
	}
	e.members = append(e.members, &member{Member: m, memberObjects: memberObjects})
	if err := m.AddNodes(ctx, nodesFor(m.Name())...); err != nil {
		return err
	}
	if err := e.fleet.Join(ctx, m); err != nil {
		return err
	}
	_, err = e.fleetAPI.ClusterV1alpha1().Clusters().Patch(ctx, m.Name(), types.MergePatchType, []byte(facts), metav1.PatchOptions{})
	return err
}

// poolKey is label and taint of the nodes of one case.
const poolKey = "e2e.fleet.dev/case"

// nodesFor are the nodes of a member that belong to one case each.
func nodesFor(member string) []testbed.NodeConfig {
	var out []testbed.NodeConfig
	for name, tc := range allCases() {
		for i, size := range tc.nodes[member] {
			out = append(out, testbed.NodeConfig{
				Name:        fmt.Sprintf("%s-%d", namespaceOf(name), i),
				Labels:      map[string]string{poolKey: namespaceOf(name)},
				Taints:      []corev1.Taint{{Key: poolKey, Value: namespaceOf(name), Effect: corev1.TaintEffectNoSchedule}},
				Allocatable: resources(size),
			})
		}
	}
	return out
}
