// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package syncer

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
)

func TestMembers(t *testing.T) {
	type result struct {
		Watched string
		Serves  map[string]bool
	}
	cluster := func(name string, mode clusterv1alpha1.ClusterSyncMode) *clusterv1alpha1.Cluster {
		return &clusterv1alpha1.Cluster{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: clusterv1alpha1.ClusterSpec{SyncMode: mode}}
	}
	clusters := map[string]*clusterv1alpha1.Cluster{
		"edge pushed":  cluster("edge", clusterv1alpha1.Push),
		"edge pulled":  cluster("edge", clusterv1alpha1.Pull),
		"other pushed": cluster("other", clusterv1alpha1.Push),
		"other pulled": cluster("other", clusterv1alpha1.Pull),
	}
	for name, tc := range map[string]struct {
		reason  string
		members Members
		want    result
	}{
		"PushAll": {
			reason:  "members that have an agent are not this syncer's",
			members: Push(nil),
			want:    result{Serves: map[string]bool{"edge pushed": true, "edge pulled": false, "other pushed": true, "other pulled": false}},
		},
		"PushSome": {
			reason:  "the choice narrows the mode",
			members: Push(func(name string) bool { return name == "edge" }),
			want:    result{Serves: map[string]bool{"edge pushed": true, "edge pulled": false, "other pushed": false, "other pulled": false}},
		},
		"Pull": {
			reason:  "an agent may read its own Cluster alone, and leaves it to the push syncer when it is in that mode",
			members: Pull("edge", nil),
			want: result{
				Watched: "metadata.name=edge",
				Serves:  map[string]bool{"edge pushed": false, "edge pulled": true, "other pushed": false, "other pulled": false},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := result{Watched: tc.members.watched.String(), Serves: map[string]bool{}}
			for what, cluster := range clusters {
				got.Serves[what] = tc.members.serves(cluster)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s: -want +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestRoute(t *testing.T) {
	before := &clusterv1alpha1.Cluster{Spec: clusterv1alpha1.ClusterSpec{APIEndpoint: "https://one:6443"}}
	after := before.DeepCopy()
	after.Spec.APIEndpoint = "https://two:6443"
	if Push(nil).route(before) == Push(nil).route(after) {
		t.Error("another endpoint needs another session")
	}
	if Pull("one", nil).route(before) != Pull("one", nil).route(after) {
		t.Error("an agent reaches its member whatever the Cluster says")
	}
}
