// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"fleet.dev/fleet/test/e2e/witness"
)

// fleetResources are the fleet's own resources with their short names.
var fleetResources = map[string]string{
	"clusters.cluster.fleet.dev":                         "",
	"propagationpolicies.policy.fleet.dev":               "pp",
	"clusterpropagationpolicies.policy.fleet.dev":        "cpp",
	"overridepolicies.policy.fleet.dev":                  "op",
	"clusteroverridepolicies.policy.fleet.dev":           "cop",
	"resourcebindings.work.fleet.dev":                    "rb",
	"clusterresourcebindings.work.fleet.dev":             "crb",
	"works.work.fleet.dev":                               "",
	"resourceinterpretercustomizations.config.fleet.dev": "",
	"workloadrebalancers.apps.fleet.dev":                 "",
}

// TestAPIResources checks that the fleet has what a cluster has, and its own.
func TestAPIResources(t *testing.T) {
	t.Parallel()
	list := func(kubeconfig string) []string {
		t.Helper()
		return strings.Fields(must(t, command{kubeconfig: kubeconfig}, "kubectl", "api-resources", "-o", "name"))
	}
	onFleet := list(bed.fleet.Kubeconfig())
	for _, name := range list(bed.members[0].Kubeconfig()) {
		// A definition that another test made is on its way or gone again.
		if !slices.Contains(onFleet, name) && !strings.HasSuffix(name, ".example.com") {
			t.Errorf("a cluster serves %s, the fleet does not", name)
		}
	}
	for name, short := range fleetResources {
		if !slices.Contains(onFleet, name) {
			t.Errorf("api-resources lacks %s", name)
			continue
		}
		if short == "" {
			short = name
		}
		if out := asAdmin().run(t, "kubectl", "get", short, "--all-namespaces"); out.code != 0 {
			t.Errorf("kubectl get %s: %s", short, out.stderr)
		}
	}
	must(t, asAdmin(), "kubectl", "get", "fleet", "--all-namespaces")
}

// TestExplain checks that every kind and every field of a placement is explained.
func TestExplain(t *testing.T) {
	t.Parallel()
	for name := range fleetResources {
		if explained := must(t, asAdmin(), "kubectl", "explain", name); !strings.Contains(explained, "FIELDS:") || strings.Contains(explained, "<no description>") {
			t.Errorf("explain %s:\n%s", name, explained)
		}
	}
	placement := must(t, asAdmin(), "kubectl", "explain", "propagationpolicy.spec.placement")
	for _, field := range []string{"auto", "clusterAffinity", "clusterAffinities", "clusterTolerations", "replicaScheduling", "spreadConstraints", "workloadAffinity"} {
		if !strings.Contains(placement, "  "+field+"\t") {
			t.Errorf("explain propagationpolicy.spec.placement lacks %s:\n%s", field, placement)
		}
	}
}

// TestRaw reads what monitoring reads.
func TestRaw(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		reason string
		path   string
		want   string
	}{
		"Metrics": {"requests are counted", "/metrics", "apiserver_request_total{"},
		"Storage": {"the time etcd takes is measured", "/metrics", "etcd_request_duration_seconds_bucket{"},
		"Ready":   {"each check is listed", "/readyz?verbose", "[+]etcd ok"},
		"Live":    {"the server lives", "/livez", "ok"},
		"Version": {"clients take it for the Kubernetes it is", "/version", `"minor": "36"`},
		"OpenAPI": {"the fleet's kinds have schemas", "/openapi/v3", "apis/policy.fleet.dev/v1alpha1"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := must(t, asAdmin(), "kubectl", "get", "--raw", tc.path)
			if !strings.Contains(got, tc.want) {
				t.Errorf("%s: GET %s lacks %q, starts with\n%s", tc.reason, tc.path, tc.want, got[:min(len(got), 400)])
			}
		})
	}
}

// TestAuthorization gives a user a role and asks what she may do.
func TestAuthorization(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	s.kubectl(t, "create", "rolebinding", "alice", "--clusterrole=view", "--user=alice")
	cases := map[string]struct {
		reason string
		args   []string
		want   string
	}{
		"Admin":        {"the administrator may do everything", []string{"create", "deployments"}, "yes"},
		"View":         {"a viewer may look", []string{"list", "deployments", "--as=alice"}, "yes"},
		"ViewPolicies": {"fleet's roles are part of view", []string{"list", "propagationpolicies", "--as=alice"}, "yes"},
		"Edit":         {"a viewer may not change", []string{"create", "deployments", "--as=alice"}, "no"},
		"Secrets":      {"a viewer may not see secrets", []string{"get", "secrets", "--as=alice"}, "no"},
		"Elsewhere":    {"the role is for one namespace", []string{"list", "deployments", "--as=alice", "--namespace=default"}, "no"},
		"Works":        {"works hold everybody's manifests", []string{"list", "works", "--as=alice", "--namespace=fleet-cluster-member1"}, "no"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			// The role aggregates and the authorizer learns of it a moment later.
			var out outcome
			for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
				if out = s.tryKubectl(t, append([]string{"auth", "can-i"}, tc.args...)...); strings.TrimSpace(out.stdout) == tc.want {
					break
				}
			}
			if got := strings.TrimSpace(out.stdout); got != tc.want || (out.code == 0) != (tc.want == "yes") {
				t.Errorf("%s: can-i %v: want %s, got %s (exit status %d) %s", tc.reason, tc.args, tc.want, got, out.code, out.stderr)
			}
		})
	}
	if out := s.tryKubectl(t, "create", "deployment", "web", "--image=nginx", "--as=alice"); out.code == 0 || !strings.Contains(out.stderr, `User "alice" cannot create resource "deployments"`) {
		t.Errorf("a viewer creates a deployment: want upstream's refusal, got %d %s", out.code, out.stderr)
	}
}

// TestUnauthenticated sends requests without credentials, or with wrong ones, to
// the fleet and to a cluster.
func TestUnauthenticated(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		reason string
		path   string
		token  string
		want   int
	}{
		"WrongToken": {"who says who he is must be right", "/api/v1/namespaces", "wrong", http.StatusUnauthorized},
		"Nobody":     {"anonymous users may do next to nothing", "/api/v1/namespaces", "", http.StatusForbidden},
		"FleetKind":  {"that holds for the fleet's kinds", "/apis/policy.fleet.dev/v1alpha1/propagationpolicies", "wrong", http.StatusUnauthorized},
		"Health":     {"load balancers have no credentials", "/readyz", "", http.StatusOK},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			onMember := status(t, restConfig(t, bed.members[0].RESTConfig), tc.path, tc.token)
			onFleet := status(t, restConfig(t, bed.fleet.RESTConfig), tc.path, tc.token)
			if onFleet != tc.want || onMember != tc.want {
				t.Errorf("%s: GET %s: want %d, the fleet answers %d, a cluster %d", tc.reason, tc.path, tc.want, onFleet, onMember)
			}
		})
	}
}

func restConfig(t *testing.T, load func() (*rest.Config, error)) *rest.Config {
	t.Helper()
	config, err := load()
	if err != nil {
		t.Fatal(err)
	}
	return config
}

// status is the HTTP status of a GET with a token alone.
func status(t *testing.T, config *rest.Config, path, token string) int {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(config.CAData)
	client := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, config.Host+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	return response.StatusCode
}

// TestAudit finds a write in the fleet's audit log.
func TestAudit(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	mark, err := bed.fleetAudit.Mark()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.kube.RbacV1().RoleBindings(s.namespace).Create(t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "audited"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "view"},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	writes, err := bed.fleetAudit.Since(mark, func(w witness.Write) bool { return w.Namespace == s.namespace && w.Name == "audited" })
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, w := range writes {
		got = append(got, fmt.Sprintf("%s %s %s by %s: %d", w.Verb, w.Resource, w.Name, w.User, w.Code))
	}
	if diff := cmp.Diff([]string{"create rolebindings audited by fleet-admin: 201"}, got); diff != "" {
		t.Errorf("the audit log says who did what: -want +got:\n%s", diff)
	}
}
