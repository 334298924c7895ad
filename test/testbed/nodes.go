// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package testbed

import (
	"context"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// Defaults of MemberConfig.
const (
	defaultNodes = 2
	nodeCPU      = "32"
	nodeMemory   = "256Gi"
	nodePods     = "110"
	nodeStorage  = "1Ti"
)

// NodeConfig describes a node that a member has beside those of its MemberConfig.
type NodeConfig struct {
	// Name of the node, unique in the member.
	Name string
	// Labels beside those every node has.
	Labels map[string]string
	// Taints of the node.
	Taints []corev1.Taint
	// Allocatable is what differs from the other nodes.
	Allocatable corev1.ResourceList
}

// AddNodes creates nodes that do not exist and waits until they are ready. Like the
// others they outlive a restart of the member.
func (m *Member) AddNodes(ctx context.Context, nodes ...NodeConfig) error {
	config, err := m.RESTConfig()
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	version, err := client.Discovery().ServerVersion()
	if err != nil {
		return fmt.Errorf("read version of member %q: %w", m.Name(), err)
	}
	for i, c := range nodes {
		n := node(m.layout.config, i, version.GitVersion)
		c.change(n)
		if err := createNode(ctx, client, n); err != nil {
			return fmt.Errorf("add to member %q: %w", m.Name(), err)
		}
	}
	return m.Kwok.await(ctx, readyTimeout, func(ctx context.Context) error {
		return nodesReady(ctx, client, nodes)
	})
}

// change makes a node like the others the one it describes.
func (c NodeConfig) change(n *corev1.Node) {
	n.Name, n.Labels[corev1.LabelHostname] = c.Name, c.Name
	maps.Copy(n.Labels, c.Labels)
	n.Spec.Taints = c.Taints
	maps.Copy(n.Status.Capacity, c.Allocatable)
	maps.Copy(n.Status.Allocatable, c.Allocatable)
}

// nodesReady checks that added nodes are ready and have their own taints only.
func nodesReady(ctx context.Context, client kubernetes.Interface, nodes []NodeConfig) error {
	for _, c := range nodes {
		n, err := client.CoreV1().Nodes().Get(ctx, c.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if !nodeReady(n) || len(n.Spec.Taints) != len(c.Taints) {
			return fmt.Errorf("node %s is not ready", c.Name)
		}
	}
	return nil
}

// node is the i-th node of a member, counted from 0, as its kubelet would
// register it. Nodes are spread evenly over the member's zones.
func node(c MemberConfig, i int, version string) *corev1.Node {
	name := fmt.Sprintf("node-%d", i)
	resources := corev1.ResourceList{
		corev1.ResourceCPU:              resource.MustParse(nodeCPU),
		corev1.ResourceMemory:           resource.MustParse(nodeMemory),
		corev1.ResourcePods:             resource.MustParse(nodePods),
		corev1.ResourceEphemeralStorage: resource.MustParse(nodeStorage),
	}
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{
			Name: name,
			Labels: map[string]string{
				corev1.LabelHostname:       name,
				corev1.LabelArchStable:     "amd64",
				corev1.LabelOSStable:       "linux",
				corev1.LabelTopologyRegion: c.Region,
				corev1.LabelTopologyZone:   c.Zones[i%len(c.Zones)],
			},
		},
		Status: corev1.NodeStatus{
			Capacity:    resources,
			Allocatable: maps.Clone(resources),
			NodeInfo:    corev1.NodeSystemInfo{KubeletVersion: version, OperatingSystem: "linux", Architecture: "amd64"},
		},
	}
}

// createNodes creates the nodes of a member that do not exist.
func createNodes(ctx context.Context, client kubernetes.Interface, c MemberConfig) error {
	version, err := client.Discovery().ServerVersion()
	if err != nil {
		return fmt.Errorf("read version of member %q: %w", c.Name, err)
	}
	for i := range c.Nodes {
		if err := createNode(ctx, client, node(c, i, version.GitVersion)); err != nil {
			return fmt.Errorf("prepare member %q: %w", c.Name, err)
		}
	}
	return nil
}

// createNode creates a node unless it exists.
func createNode(ctx context.Context, client kubernetes.Interface, n *corev1.Node) error {
	if _, err := client.CoreV1().Nodes().Create(ctx, n, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create node %s: %w", n.Name, err)
	}
	return nil
}

// releaseNodes deletes the nodes' leases. kwok takes a node only when nobody holds
// its lease, and a kwok that was killed would hold it for another 40 seconds.
func releaseNodes(ctx context.Context, client kubernetes.Interface) error {
	return client.CoordinationV1().Leases(corev1.NamespaceNodeLease).
		DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{})
}

// nodesUsable checks that n nodes are played by kwok, ready and free of taints, so
// that pods sent to them run.
func nodesUsable(ctx context.Context, client kubernetes.Interface, n int) error {
	nodes, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{ResourceVersion: "0"})
	if err != nil {
		return err
	}
	leases, err := client.CoordinationV1().Leases(corev1.NamespaceNodeLease).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	played := map[string]bool{}
	for _, lease := range leases.Items {
		played[lease.Name] = true
	}
	usable := 0
	for _, node := range nodes.Items {
		if played[node.Name] && nodeReady(&node) && len(node.Spec.Taints) == 0 {
			usable++
		}
	}
	if usable < n {
		return fmt.Errorf("%d of %d nodes are ready", usable, n)
	}
	return nil
}

func nodeReady(n *corev1.Node) bool {
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// namespaceUsable checks that pods can be created in the default namespace.
func namespaceUsable(ctx context.Context, client kubernetes.Interface) error {
	if _, err := client.CoreV1().ServiceAccounts(metav1.NamespaceDefault).Get(ctx, "default", metav1.GetOptions{}); err != nil {
		return err
	}
	_, err := client.CoreV1().ConfigMaps(metav1.NamespaceDefault).Get(ctx, "kube-root-ca.crt", metav1.GetOptions{})
	return err
}
