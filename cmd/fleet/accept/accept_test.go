// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package accept

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/pkg/apis/wellknown"
	fleetfake "fleet.dev/fleet/pkg/generated/clientset/versioned/fake"
)

func paris(changes ...func(*clusterv1alpha1.Cluster)) *clusterv1alpha1.Cluster {
	c := &clusterv1alpha1.Cluster{
		ObjectMeta: metav1.ObjectMeta{Name: "paris", UID: "u", Annotations: map[string]string{wellknown.AnnotationRegistrationKey: "A"}},
		Spec:       clusterv1alpha1.ClusterSpec{SyncMode: clusterv1alpha1.Pull, ID: "1"},
	}
	for _, change := range changes {
		change(c)
	}
	return c
}

func accepted(c *clusterv1alpha1.Cluster) { c.Spec.Accepted = true }
func push(c *clusterv1alpha1.Cluster)     { c.Spec.SyncMode = clusterv1alpha1.Push }
func prepared(c *clusterv1alpha1.Cluster) { c.Annotations, c.Spec.ID = nil, "" }

func TestChoose(t *testing.T) {
	a, b, foreign := Candidate{"1", "A", "token a"}, Candidate{"1", "B", "token b"}, Candidate{"2", "C", "token c"}
	registered := Candidate{ID: "1", Key: "A"}
	tests := map[string]struct {
		reason  string
		cluster *clusterv1alpha1.Cluster
		waiting []Candidate
		key     string
		want    Candidate
		news    bool
		wantErr string
	}{
		"One":           {reason: "who asked is accepted", cluster: paris(), waiting: []Candidate{a}, want: a, news: true},
		"OneByKey":      {reason: "and may be named", cluster: paris(), waiting: []Candidate{a}, key: "A", want: a, news: true},
		"Gone":          {reason: "the Cluster remembers who asked", cluster: paris(), want: registered, news: true},
		"Two":           {reason: "an administrator has to say which", cluster: paris(), waiting: []Candidate{a, b}, wantErr: "say with --key which is yours\n  id 1, key A, requested by token a\n  id 1, key B"},
		"TwoByKey":      {reason: "and can", cluster: paris(), waiting: []Candidate{a, b}, key: "B", want: b, news: true},
		"Already":       {reason: "nothing to do", cluster: paris(accepted), want: registered},
		"AlreadyAsking": {reason: "its request is about to be approved", cluster: paris(accepted), waiting: []Candidate{a}, want: registered},
		"AlreadyByKey":  {reason: "nothing to do", cluster: paris(accepted), waiting: []Candidate{b}, key: "A", want: registered},
		"Anew":          {reason: "an agent that was installed anew", cluster: paris(accepted), waiting: []Candidate{b}, want: b, news: true},
		"Foreign":       {reason: "another cluster cannot be this one", cluster: paris(), waiting: []Candidate{foreign}, key: "C", wantErr: "nobody with key C"},
		"Typo":          {reason: "a key that nobody has is a mistake", cluster: paris(), waiting: []Candidate{a}, key: "D", wantErr: "nobody with key D asks to be cluster \"paris\"\n  id 1, key A"},
		"Prepared":      {reason: "the administrator was first", cluster: paris(prepared, accepted), waiting: []Candidate{foreign}, want: foreign, news: true},
		"Nobody":        {reason: "there is nobody to accept", cluster: paris(prepared), wantErr: "no agent has asked"},
		"Push":          {reason: "the fleet comes to it", cluster: paris(push), waiting: []Candidate{a}, wantErr: "needs no acceptance"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, news, err := Choose(tc.cluster, tc.waiting, tc.key)
			if tc.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tc.wantErr) {
					t.Errorf("%s: want an error with %q, got %v", tc.reason, tc.wantErr, err)
				}
				return
			}
			if err != nil || news != tc.news {
				t.Errorf("%s: want news %t, got %t, %v", tc.reason, tc.news, news, err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s: -want +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestAccept(t *testing.T) {
	b := Candidate{ID: "1", Key: "B"}
	tests := map[string]struct {
		reason string
		seen   *clusterv1alpha1.Cluster
		live   *clusterv1alpha1.Cluster
		want   error
	}{
		"Same":    {"one write says all", paris(), paris(func(c *clusterv1alpha1.Cluster) { c.Spec.Region = "eu" }), nil},
		"Key":     {"the choice was made on another key", paris(), paris(func(c *clusterv1alpha1.Cluster) { c.Annotations = nil }), errChanged},
		"ID":      {"the choice was made on another cluster", paris(), paris(func(c *clusterv1alpha1.Cluster) { c.Spec.ID = "2" }), errChanged},
		"Another": {"it left and joined again", paris(), paris(func(c *clusterv1alpha1.Cluster) { c.UID = "v" }), errChanged},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			fleetClient := fleetfake.NewClientset(tc.live)
			err := Accept(t.Context(), fleetClient, tc.seen, b)
			if !errors.Is(err, tc.want) {
				t.Fatalf("%s: want %v, got %v", tc.reason, tc.want, err)
			}
			want := tc.live.DeepCopy()
			if tc.want == nil {
				want.Spec.Accepted = true
				want.Annotations[wellknown.AnnotationRegistrationKey] = "B"
			}
			got, err := fleetClient.ClusterV1alpha1().Clusters().Get(t.Context(), "paris", metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s: -want +got:\n%s", tc.reason, diff)
			}
		})
	}
}
