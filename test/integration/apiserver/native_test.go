// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	clientv3 "go.etcd.io/etcd/client/v3"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	appsv1apply "k8s.io/client-go/applyconfigurations/apps/v1"
	corev1apply "k8s.io/client-go/applyconfigurations/core/v1"
	metav1apply "k8s.io/client-go/applyconfigurations/meta/v1"
	"k8s.io/kubernetes/pkg/controlplane"

	"fleet.dev/fleet/pkg/apis/wellknown"
	"fleet.dev/fleet/pkg/apiserver"
	"fleet.dev/fleet/test/integration/harness"
)

func deployment(name string) *appsv1.Deployment {
	labels := map[string]string{"app": name}
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "nginx"}}},
			},
		},
	}
}

// TestNative is about what a Kubernetes user expects of any cluster.
func TestNative(t *testing.T) {
	fleet := shared

	t.Run("ServesEveryStableGroupVersion", func(t *testing.T) {
		lists, err := fleet.Kube.Discovery().ServerPreferredResources()
		if err != nil {
			t.Fatal(err)
		}
		served := sets.New[string]()
		for _, list := range lists {
			served.Insert(list.GroupVersion)
		}
		groups, _, err := fleet.Kube.Discovery().ServerGroupsAndResources()
		if err != nil {
			t.Fatal(err)
		}
		for _, group := range groups {
			for _, version := range group.Versions {
				served.Insert(version.GroupVersion)
			}
		}
		for gv, enabled := range controlplane.DefaultAPIResourceConfigSource().GroupVersionConfigs {
			if enabled && !served.Has(gv.String()) {
				t.Errorf("group version %s is stable upstream but not served", gv)
			}
		}
	})

	t.Run("DefaultsAndValidatesLikeUpstream", func(t *testing.T) {
		deployments := fleet.Kube.AppsV1().Deployments(namespace(t, nil))
		made, err := deployments.Create(t.Context(), deployment("defaults"), metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if made.Spec.Replicas == nil || *made.Spec.Replicas != 1 || made.Spec.Template.Spec.RestartPolicy != corev1.RestartPolicyAlways {
			t.Errorf("defaults were not applied: %+v", made.Spec)
		}
		_, err = deployments.Patch(t.Context(), "defaults", types.MergePatchType,
			[]byte(`{"spec":{"replicas":-1}}`), metav1.PatchOptions{})
		want := `Deployment.apps "defaults" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0`
		if err == nil || err.Error() != want {
			t.Errorf("patch with replicas -1: want upstream's message\n%s\ngot\n%v", want, err)
		}
	})

	t.Run("ServerSideApplyConflicts", func(t *testing.T) {
		apply := func(manager string, replicas int32) error {
			container := corev1apply.Container().WithName("web").WithImage("nginx")
			labels := map[string]string{"app": "ssa"}
			_, err := fleet.Kube.AppsV1().Deployments("default").Apply(t.Context(), appsv1apply.Deployment("ssa", "default").
				WithSpec(appsv1apply.DeploymentSpec().WithReplicas(replicas).
					WithSelector(metav1apply.LabelSelector().WithMatchLabels(labels)).
					WithTemplate(corev1apply.PodTemplateSpec().WithLabels(labels).WithSpec(corev1apply.PodSpec().WithContainers(container)))),
				metav1.ApplyOptions{FieldManager: manager})
			return err
		}
		if err := apply("one", 1); err != nil {
			t.Fatal(err)
		}
		err := apply("two", 2)
		if !apierrors.IsConflict(err) || !strings.Contains(err.Error(), `conflict with "one": .spec.replicas`) {
			t.Errorf("apply by a second manager: want a conflict on .spec.replicas, got %v", err)
		}
	})

	t.Run("RefusesAnonymous", func(t *testing.T) {
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} //nolint:gosec // asks without credentials on purpose
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fleet.Config.Host+"/api/v1/namespaces", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer wrong")
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close() //nolint:errcheck // nothing to lose
		if response.StatusCode != http.StatusUnauthorized {
			t.Errorf("request with a wrong token: want 401, got %d", response.StatusCode)
		}
	})

	t.Run("CreatesTheDefaultPolicy", func(t *testing.T) {
		policy, err := fleet.Fleet.PolicyV1alpha1().ClusterPropagationPolicies().Get(t.Context(), wellknown.DefaultPolicyName, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if policy.Spec.Placement.Auto == nil {
			t.Errorf("placement of %s: want auto, got %+v", policy.Name, policy.Spec.Placement)
		}
	})

	t.Run("ServesMetricsAndHealth", func(t *testing.T) {
		for _, path := range []string{"/metrics", "/readyz", "/livez", "/version", "/openapi/v2", "/openapi/v3"} {
			if err := fleet.Kube.Discovery().RESTClient().Get().AbsPath(path).Do(t.Context()).Error(); err != nil {
				t.Errorf("GET %s: %v", path, err)
			}
		}
	})
}

func TestRestartKeepsEverything(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "fleet")
	first := harness.StartAPIServer(t, dir)
	made, err := first.Kube.AppsV1().Deployments("default").Create(t.Context(), deployment("kept"), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Fleet.PolicyV1alpha1().ClusterPropagationPolicies().Delete(t.Context(), wellknown.DefaultPolicyName, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	token, err := first.Kube.CoreV1().ServiceAccounts("default").CreateToken(t.Context(), serviceAccount(t, first), tokenRequest(), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	first.Stop()

	second := harness.StartAPIServer(t, dir)
	got, err := second.Kube.AppsV1().Deployments("default").Get(t.Context(), "kept", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(made, got); diff != "" {
		t.Errorf("object after a restart, -before +after:\n%s", diff)
	}
	if diff := cmp.Diff(first.Config.TLSClientConfig, second.Config.TLSClientConfig); diff != "" {
		t.Errorf("the administrator's credentials changed with a restart:\n%s", diff)
	}
	if _, err := second.Fleet.PolicyV1alpha1().ClusterPropagationPolicies().Get(t.Context(), wellknown.DefaultPolicyName, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the default policy was deleted by its administrator; a restart must not bring it back: %v", err)
	}
	review, err := second.Kube.AuthenticationV1().TokenReviews().Create(t.Context(), tokenReview(token.Status.Token), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if !review.Status.Authenticated {
		t.Errorf("a service-account token from before the restart is refused: %s", review.Status.Error)
	}
}

func TestAuditLog(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	policy := filepath.Join(dir, "policy.yaml")
	if err := os.WriteFile(policy, []byte("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: Metadata}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(dir, "audit.log")
	fleet := harness.StartAPIServer(t, "", func(o *apiserver.Options) {
		o.Audit.PolicyFile = policy
		o.Audit.LogOptions.Path = log
	})
	if _, err := fleet.Kube.CoreV1().ConfigMaps("default").Create(t.Context(),
		&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "audited"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	fleet.Stop()
	data, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		var event struct {
			Verb      string
			ObjectRef struct{ Name string }
			User      struct{ Username string }
		}
		if err := json.Unmarshal([]byte(line), &event); err != nil {
			t.Fatal(err)
		}
		if event.Verb == "create" && event.ObjectRef.Name == "audited" && event.User.Username == "fleet-admin" {
			return
		}
	}
	t.Error("the audit log has no entry for the ConfigMap that fleet-admin created")
}

func TestEncryptionAtRest(t *testing.T) {
	t.Parallel()
	config := filepath.Join(t.TempDir(), "encryption.yaml")
	if err := os.WriteFile(config, []byte(`apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
- resources: [secrets]
  providers:
  - aescbc: {keys: [{name: key1, secret: c2VjcmV0IGlzIHNlY3VyZSwgaXMgaXQ/MDEyMzQ1Njc=}]}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	fleet := harness.StartAPIServer(t, "", func(o *apiserver.Options) { o.Etcd.EncryptionProviderConfigFilepath = config })
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "sealed"}, StringData: map[string]string{"key": "in-the-clear"}}
	if _, err := fleet.Kube.CoreV1().Secrets("default").Create(t.Context(), secret, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	etcd, err := clientv3.New(clientv3.Config{Endpoints: []string{"unix://" + filepath.Join(fleet.DataDir, "etcd", "client.sock")}})
	if err != nil {
		t.Fatal(err)
	}
	defer etcd.Close() //nolint:errcheck // read only
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	stored, err := etcd.Get(ctx, "/registry/secrets/default/sealed")
	if err != nil {
		t.Fatal(err)
	}
	if len(stored.Kvs) != 1 || !strings.HasPrefix(string(stored.Kvs[0].Value), "k8s:enc:aescbc:v1:key1:") {
		t.Error("the Secret is not stored encrypted")
	}
}
