// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"fleet.dev/fleet/pkg/apis/cluster"
)

func newCluster(change func(*cluster.Cluster)) *cluster.Cluster {
	c := &cluster.Cluster{
		ObjectMeta: metav1.ObjectMeta{Name: "east", ResourceVersion: "1"},
		Spec: cluster.ClusterSpec{
			ID:          "id",
			SyncMode:    cluster.Push,
			APIEndpoint: "https://10.0.0.1:6443",
			SecretRef:   &cluster.LocalSecretReference{Namespace: "fleet-cluster-east", Name: "east"},
			Zones:       []string{"a", "b"},
		},
	}
	change(c)
	return c
}

func model(grade int32, minimum, maximum string) cluster.ResourceModel {
	return cluster.ResourceModel{Grade: grade, Ranges: []cluster.ResourceModelRange{{
		Name: corev1.ResourceCPU, Min: resource.MustParse(minimum), Max: resource.MustParse(maximum),
	}}}
}

func TestValidateCluster(t *testing.T) {
	cases := map[string]struct {
		reason string
		change func(*cluster.Cluster)
		want   []string
	}{
		"Valid": {
			reason: "a whole Cluster is fine",
			change: func(c *cluster.Cluster) {
				c.Spec.ProxyURL = "socks5://proxy:1080"
				c.Spec.ProxyHeader = map[string]string{"X-Team": "a,b"}
				c.Spec.Taints = []corev1.Taint{{Key: "a", Effect: corev1.TaintEffectNoSchedule}, {Key: "a", Effect: corev1.TaintEffectNoExecute}}
				c.Spec.ResourceModels = []cluster.ResourceModel{model(0, "0", "2"), model(1, "2", "4")}
			},
		},
		"LongName": {
			reason: "fleet-cluster-<name> has to be a namespace name",
			change: func(c *cluster.Cluster) { c.Name = strings.Repeat("a", 50); c.Spec.SecretRef = nil },
			want:   []string{"FieldValueInvalid metadata.name"},
		},
		"NoSyncMode": {
			reason: "somebody has to open the connection",
			change: func(c *cluster.Cluster) { c.Spec.SyncMode = "" },
			want:   []string{"FieldValueRequired spec.syncMode"},
		},
		"UnknownSyncMode": {
			reason: "there are two ways to open it",
			change: func(c *cluster.Cluster) { c.Spec.SyncMode = "Both" },
			want:   []string{"FieldValueNotSupported spec.syncMode"},
		},
		"PlainHTTP": {
			reason: "credentials are sent, so the connection has to be encrypted",
			change: func(c *cluster.Cluster) { c.Spec.APIEndpoint = "http://10.0.0.1" },
			want:   []string{"FieldValueInvalid spec.apiEndpoint"},
		},
		"EndpointWithoutHost": {
			reason: "a URL without a host cannot be dialled",
			change: func(c *cluster.Cluster) { c.Spec.APIEndpoint = "https://:6443" },
			want:   []string{"FieldValueInvalid spec.apiEndpoint"},
		},
		"HalfSecretRef": {
			reason: "a Secret is named by namespace and name",
			change: func(c *cluster.Cluster) { c.Spec.SecretRef.Namespace = "" },
			want:   []string{"FieldValueInvalid spec.secretRef.namespace"},
		},
		"ForeignSecret": {
			reason: "what is in the Secret is sent to an address that whoever writes the Cluster chooses",
			change: func(c *cluster.Cluster) { c.Spec.SecretRef.Namespace = "kube-system" },
			want:   []string{"FieldValueInvalid spec.secretRef.namespace"},
		},
		"ProxyScheme": {
			reason: "only these proxies can be spoken to",
			change: func(c *cluster.Cluster) { c.Spec.ProxyURL = "ftp://proxy" },
			want:   []string{"FieldValueInvalid spec.proxyURL"},
		},
		"ProxyHeaderAlone": {
			reason: "headers for no proxy are a mistake",
			change: func(c *cluster.Cluster) { c.Spec.ProxyHeader = map[string]string{"X-A": "b"} },
			want:   []string{"FieldValueForbidden spec.proxyHeader"},
		},
		"ProxyHeaderLines": {
			reason: "a line break would smuggle in another header",
			change: func(c *cluster.Cluster) {
				c.Spec.ProxyURL, c.Spec.ProxyHeader = "http://proxy", map[string]string{"X-A": "b\r\nX-C: d"}
			},
			want: []string{"FieldValueInvalid spec.proxyHeader[X-A]"},
		},
		"ZoneTwice": {
			reason: "zones are a set",
			change: func(c *cluster.Cluster) { c.Spec.Zones = []string{"a", "a"} },
			want:   []string{"FieldValueDuplicate spec.zones[1]"},
		},
		"ZoneElsewhere": {
			reason: "the deprecated zone must not contradict zones",
			change: func(c *cluster.Cluster) { c.Spec.Zone = "z" },
			want:   []string{"FieldValueInvalid spec.zone"},
		},
		"TaintTwice": {
			reason: "one key has one value per effect",
			change: func(c *cluster.Cluster) {
				c.Spec.Taints = []corev1.Taint{{Key: "a", Effect: corev1.TaintEffectNoSchedule}, {Key: "a", Value: "b", Effect: corev1.TaintEffectNoSchedule}}
			},
			want: []string{"FieldValueDuplicate spec.taints[1]"},
		},
		"TaintWithoutEffect": {
			reason: "a taint without effect does nothing",
			change: func(c *cluster.Cluster) { c.Spec.Taints = []corev1.Taint{{Key: "a"}} },
			want:   []string{"FieldValueRequired spec.taints[0].effect"},
		},
		"GradesWithGap": {
			reason: "every size of node has one grade",
			change: func(c *cluster.Cluster) {
				c.Spec.ResourceModels = []cluster.ResourceModel{model(0, "0", "2"), model(1, "3", "4")}
			},
			want: []string{"FieldValueInvalid spec.resourceModels[1].ranges[0].min"},
		},
		"GradesOutOfOrder": {
			reason: "the grade is the position",
			change: func(c *cluster.Cluster) { c.Spec.ResourceModels = []cluster.ResourceModel{model(1, "0", "2")} },
			want:   []string{"FieldValueInvalid spec.resourceModels[0].grade"},
		},
		"EmptyRange": {
			reason: "no node is in an empty range",
			change: func(c *cluster.Cluster) { c.Spec.ResourceModels = []cluster.ResourceModel{model(0, "2", "2")} },
			want:   []string{"FieldValueInvalid spec.resourceModels[0].ranges[0].max"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := summary(ValidateCluster(newCluster(tc.change)))
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("\n%s\nValidateCluster(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestValidateClusterUpdate(t *testing.T) {
	cases := map[string]struct {
		reason string
		old    func(*cluster.Cluster)
		change func(*cluster.Cluster)
		want   []string
	}{
		"SetID": {
			reason: "the id is learnt at join",
			old:    func(c *cluster.Cluster) { c.Spec.ID = "" },
			change: func(*cluster.Cluster) {},
		},
		"ChangeID": {
			reason: "another id would be another member",
			old:    func(*cluster.Cluster) {},
			change: func(c *cluster.Cluster) { c.Spec.ID = "other" },
			want:   []string{"FieldValueInvalid spec.id"},
		},
		"ClearID": {
			reason: "a lost id could be set to another",
			old:    func(*cluster.Cluster) {},
			change: func(c *cluster.Cluster) { c.Spec.ID = "" },
			want:   []string{"FieldValueInvalid spec.id"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := summary(ValidateClusterUpdate(newCluster(tc.change), newCluster(tc.old)))
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("\n%s\nValidateClusterUpdate(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestValidateClusterStatusUpdate(t *testing.T) {
	cases := map[string]struct {
		reason string
		status cluster.ClusterStatus
		want   []string
	}{
		"Empty": {reason: "nothing is known of a new member"},
		"Capacity": {
			reason: "no more nodes can be free than there are",
			status: cluster.ClusterStatus{Capacity: &cluster.ClusterCapacity{Classes: []cluster.CapacityClass{{
				Name: "a", Nodes: 1, Free: []cluster.FreeCapacity{{Count: 2}},
			}}}},
			want: []string{"FieldValueInvalid status.capacity.classes[0].free[0].count"},
		},
		"HostPort": {
			reason: "there is no port 0",
			status: cluster.ClusterStatus{Capacity: &cluster.ClusterCapacity{Classes: []cluster.CapacityClass{{
				Name: "a", Nodes: 1, Free: []cluster.FreeCapacity{{Count: 1, HostPorts: []cluster.HostPort{{Port: 0}}}},
			}}}},
			want: []string{"FieldValueInvalid status.capacity.classes[0].free[0].hostPorts[0].port"},
		},
		"Quotas": {
			reason: "a quota has a name, is listed once, and leaves nothing at least",
			status: cluster.ClusterStatus{Capacity: &cluster.ClusterCapacity{Quotas: []cluster.NamespaceQuota{
				{Namespace: "a", Name: "q", Remaining: corev1.ResourceList{corev1.ResourcePods: resource.MustParse("-1")}},
				{Namespace: "a", Name: "q"},
				{Namespace: "b"},
			}}},
			want: []string{
				"FieldValueInvalid status.capacity.quotas[0].remaining[pods]",
				"FieldValueRequired status.capacity.quotas[2].name",
				"FieldValueDuplicate status.capacity.quotas[1].name",
			},
		},
		"TooManyQuotas": {
			reason: "the list does not grow without end",
			status: cluster.ClusterStatus{Capacity: &cluster.ClusterCapacity{Quotas: manyQuotas(1001)}},
			want:   []string{"FieldValueTooMany status.capacity.quotas"},
		},
		"Negative": {
			reason: "less than nothing is a mistake of the reporter",
			status: cluster.ClusterStatus{ResourceSummary: &cluster.ResourceSummary{
				Allocatable: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("-1")},
			}},
			want: []string{"FieldValueInvalid status.resourceSummary.allocatable[cpu]"},
		},
		"Nodes": {
			reason: "no more nodes can be ready than there are",
			status: cluster.ClusterStatus{NodeSummary: &cluster.NodeSummary{TotalNum: 1, ReadyNum: 2}},
			want:   []string{"FieldValueInvalid status.nodeSummary.readyNum"},
		},
		"Place": {
			reason: "what is observed is bounded like what is said",
			status: cluster.ClusterStatus{Region: strings.Repeat("r", 129), Zones: []string{"a", "a", " "}},
			want:   []string{"FieldValueTooLong status.region", "FieldValueRequired status.zones[2]", "FieldValueDuplicate status.zones[1]"},
		},
		"APITwice": {
			reason: "a version is listed once",
			status: cluster.ClusterStatus{APIEnablements: []cluster.APIEnablement{{GroupVersion: "v1"}, {GroupVersion: "v1"}}},
			want:   []string{"FieldValueDuplicate status.apiEnablements[1].groupVersion"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			reported := newCluster(func(c *cluster.Cluster) { c.Status = tc.status })
			got := summary(ValidateClusterStatusUpdate(reported, newCluster(func(*cluster.Cluster) {})))
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("\n%s\nValidateClusterStatusUpdate(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func manyQuotas(n int) []cluster.NamespaceQuota {
	quotas := make([]cluster.NamespaceQuota, n)
	for i := range quotas {
		quotas[i] = cluster.NamespaceQuota{Namespace: "a", Name: fmt.Sprintf("q%d", i)}
	}
	return quotas
}

func summary(errs field.ErrorList) []string {
	var lines []string
	for _, err := range errs {
		lines = append(lines, string(err.Type)+" "+err.Field)
	}
	return lines
}
