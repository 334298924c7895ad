// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package register

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	certificatesv1 "k8s.io/api/certificates/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"

	"fleet.dev/fleet/pkg/agent"
	"fleet.dev/fleet/pkg/apis/wellknown"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// paris is an installation that is always the same.
func paris() Installation {
	return Installation{
		Cluster: "paris", Image: "fleet-agent:v1.2.3",
		Fleet: &Fleet{Server: "https://fleet.example.com:6443", CA: []byte("ca"), CAHash: "sha256:1234", Token: testToken},
	}
}

func TestManifest(t *testing.T) {
	const file = "testdata/manifest.yaml"
	var got bytes.Buffer
	if err := paris().Manifest(&got); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(file, got.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("%s: -want +got (go test -update rewrites it):\n%s", file, diff)
	}
}

func TestRefuse(t *testing.T) {
	role := func(name string, annotations map[string]string) runtime.Object {
		return &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: annotations}}
	}
	agentOf := func(cluster, ca string) runtime.Object {
		return role(wellknown.AgentName, map[string]string{wellknown.AnnotationClusterName: cluster, wellknown.AnnotationFleetCA: ca})
	}
	for name, tc := range map[string]struct {
		reason string
		there  []runtime.Object
		err    error
		text   string
	}{
		"Nobody":     {reason: "the cluster belongs to no fleet"},
		"Again":      {reason: "registering again is a renewal", there: []runtime.Object{agentOf("paris", "sha256:1234")}},
		"OtherName":  {"one cluster is one member", []runtime.Object{agentOf("rome", "sha256:1234")}, ErrMember, `"fleet unjoin rome"`},
		"OtherFleet": {"two fleets would undo each other's work", []runtime.Object{agentOf("paris", "sha256:5678")}, ErrOtherFleet, "sha256:5678"},
		"Pushed":     {"a syncer works there already", []runtime.Object{role(wellknown.SyncerName, nil)}, ErrMember, "Push mode"},
		"Unknown":    {"a ClusterRole of somebody else is not taken over", []runtime.Object{role(wellknown.AgentName, nil)}, ErrOtherFleet, "delete ClusterRole"},
	} {
		t.Run(name, func(t *testing.T) {
			member := &Member{client: fake.NewClientset(tc.there...)}
			err := member.refuse(t.Context(), paris())
			if !errors.Is(err, tc.err) || err != nil && !strings.Contains(err.Error(), tc.text) {
				t.Errorf("%s: refuse(): %v, want %v with %q", tc.reason, err, tc.err, tc.text)
			}
		})
	}
}

func TestLook(t *testing.T) {
	request := func(conditions ...certificatesv1.CertificateSigningRequestCondition) *certificatesv1.CertificateSigningRequest {
		return &certificatesv1.CertificateSigningRequest{
			ObjectMeta: metav1.ObjectMeta{Name: "r"}, Status: certificatesv1.CertificateSigningRequestStatus{Conditions: conditions},
		}
	}
	denied := certificatesv1.CertificateSigningRequestCondition{Type: certificatesv1.CertificateDenied, Reason: "IdentityMismatch", Message: "another cluster"}
	automatic := paris()
	automatic.Fleet.Accepts = true
	for name, tc := range map[string]struct {
		reason       string
		installation Installation
		fleet        []runtime.Object
		stored       agent.Credentials
		want         string
		err          error
	}{
		"NotStarted": {"the Pod does not run", paris(), nil, agent.Credentials{}, "the agent has not started yet", nil},
		"NotAsked":   {"the agent does not reach the fleet", paris(), nil, agent.Credentials{Request: "r"}, "has not asked the fleet yet", nil},
		"Pending":    {"somebody has to do something, and learns what", paris(), []runtime.Object{request()}, agent.Credentials{Request: "r"}, `"fleet accept paris"`, nil},
		"Automatic":  {"nobody has to do anything", automatic, []runtime.Object{request()}, agent.Credentials{Request: "r"}, "good for being accepted", nil},
		"Denied":     {"waiting does not help, the reason does", paris(), []runtime.Object{request(denied)}, agent.Credentials{Request: "r"}, "denied", ErrDenied},
	} {
		t.Run(name, func(t *testing.T) {
			message, done, err := look(t.Context(), tc.installation, fake.NewClientset(tc.fleet...), tc.stored)
			if done || !strings.Contains(message, tc.want) || !errors.Is(err, tc.err) {
				t.Errorf("%s: look(): %q, %t, %v, want %q, %v", tc.reason, message, done, err, tc.want, tc.err)
			}
		})
	}
}
