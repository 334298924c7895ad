// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509/pkix"
	"slices"
	"strings"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	batchv1 "k8s.io/api/batch/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/cert"

	"fleet.dev/fleet/test/integration/harness"
)

// TestStockControllers has each controller of Kubernetes do what it is there for.
func TestStockControllers(t *testing.T) {
	t.Parallel()
	fleet := start(t)
	for name, test := range map[string]func(*testing.T, *harness.APIServer){
		"ServiceAccount":        testServiceAccount,
		"Token":                 testToken,
		"GarbageCollection":     testGarbageCollection,
		"Quota":                 testQuota,
		"AggregatedRoles":       testAggregatedRoles,
		"CertificateRequest":    testCertificateRequest,
		"ExpiredBootstrapToken": testExpiredBootstrapToken,
		"FinishedJob":           testFinishedJob,
		"AdmissionPolicy":       testAdmissionPolicy,
		"Namespace":             testNamespace,
		"Orphan":                testOrphan,
		"Foreground":            testForeground,
		"Protection":            testProtection,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, fleet)
		})
	}
}

func testServiceAccount(t *testing.T, fleet *harness.APIServer) {
	t.Helper()
	namespace := newNamespace(t, fleet, "accounts")
	eventually(t, "a namespace gets its default ServiceAccount", func(ctx context.Context) (bool, error) {
		_, err := fleet.Kube.CoreV1().ServiceAccounts(namespace).Get(ctx, "default", metav1.GetOptions{})
		return true, err
	})
	var config *corev1.ConfigMap
	eventually(t, "a namespace gets the root CA", func(ctx context.Context) (bool, error) {
		var err error
		config, err = fleet.Kube.CoreV1().ConfigMaps(namespace).Get(ctx, "kube-root-ca.crt", metav1.GetOptions{})
		return err == nil && strings.Contains(config.Data["ca.crt"], "BEGIN CERTIFICATE"), err
	})
	if fields := config.ManagedFields; len(fields) != 1 || fields[0].Manager != "kube-controller-manager" {
		t.Errorf("who manages fields has the name it has in a cluster: got %v", fields)
	}
}

func testToken(t *testing.T, fleet *harness.APIServer) {
	t.Helper()
	namespace := newNamespace(t, fleet, "tokens")
	must[*corev1.ServiceAccount](t)(fleet.Kube.CoreV1().ServiceAccounts(namespace).Create(t.Context(),
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "app"}}, metav1.CreateOptions{}))
	must[*corev1.Secret](t)(fleet.Kube.CoreV1().Secrets(namespace).Create(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "app", Annotations: map[string]string{corev1.ServiceAccountNameKey: "app"}},
		Type:       corev1.SecretTypeServiceAccountToken,
	}, metav1.CreateOptions{}))
	var token string
	eventually(t, "a Secret of a ServiceAccount gets a token", func(ctx context.Context) (bool, error) {
		secret, err := fleet.Kube.CoreV1().Secrets(namespace).Get(ctx, "app", metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		token = string(secret.Data[corev1.ServiceAccountTokenKey])
		return token != "", nil
	})

	config := rest.AnonymousClientConfig(fleet.Config)
	config.BearerToken = token
	client := must[*kubernetes.Clientset](t)(kubernetes.NewForConfig(config))
	review := must[*authenticationv1.SelfSubjectReview](t)(client.AuthenticationV1().SelfSubjectReviews().Create(t.Context(),
		&authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{}))
	if got, want := review.Status.UserInfo.Username, "system:serviceaccount:tokens:app"; got != want {
		t.Errorf("the fleet knows the token: want user %q, got %q", want, got)
	}
}

func testGarbageCollection(t *testing.T, fleet *harness.APIServer) {
	t.Helper()
	configMaps := fleet.Kube.CoreV1().ConfigMaps(newNamespace(t, fleet, "garbage"))
	owner := must[*corev1.ConfigMap](t)(configMaps.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "owner"}}, metav1.CreateOptions{}))
	must[*corev1.ConfigMap](t)(configMaps.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{
		Name:            "owned",
		OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "ConfigMap", Name: "owner", UID: owner.UID}},
	}}, metav1.CreateOptions{}))
	if err := configMaps.Delete(t.Context(), "owner", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "what is owned goes with its owner", func(ctx context.Context) (bool, error) {
		_, err := configMaps.Get(ctx, "owned", metav1.GetOptions{})
		return apierrors.IsNotFound(err), nil
	})
}

func testQuota(t *testing.T, fleet *harness.APIServer) {
	t.Helper()
	namespace := newNamespace(t, fleet, "quota")
	quotas := fleet.Kube.CoreV1().ResourceQuotas(namespace)
	must[*corev1.ResourceQuota](t)(quotas.Create(t.Context(), &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Name: "all"},
		Spec: corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{
			"secrets": resource.MustParse("5"), "count/resourcebindings.work.fleet.dev": resource.MustParse("5"), "requests.cpu": resource.MustParse("1"),
		}},
	}, metav1.CreateOptions{}))
	used := func(name corev1.ResourceName, want string) {
		t.Helper()
		eventually(t, "quota counts "+string(name), func(ctx context.Context) (bool, error) {
			quota, err := quotas.Get(ctx, "all", metav1.GetOptions{})
			if err != nil {
				return false, err
			}
			amount, ok := quota.Status.Used[name]
			return ok && amount.Cmp(resource.MustParse(want)) == 0, nil
		})
	}
	used("secrets", "0")
	used("requests.cpu", "0")
	used("count/resourcebindings.work.fleet.dev", "0")
	must[*corev1.Secret](t)(fleet.Kube.CoreV1().Secrets(namespace).Create(t.Context(),
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "s"}}, metav1.CreateOptions{}))
	used("secrets", "1")
}

func testAggregatedRoles(t *testing.T, fleet *harness.APIServer) {
	t.Helper()
	roles := fleet.Kube.RbacV1().ClusterRoles()
	must[*rbacv1.ClusterRole](t)(roles.Create(t.Context(), &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: "widgets", Labels: map[string]string{"rbac.authorization.k8s.io/aggregate-to-view": "true"}},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{"example.com"}, Resources: []string{"widgets"}, Verbs: []string{"get"}}},
	}, metav1.CreateOptions{}))
	eventually(t, "a role that is to be aggregated into view is", func(ctx context.Context) (bool, error) {
		view, err := roles.Get(ctx, "view", metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		return slices.ContainsFunc(view.Rules, func(rule rbacv1.PolicyRule) bool { return slices.Contains(rule.Resources, "widgets") }), nil
	})
}

func testCertificateRequest(t *testing.T, fleet *harness.APIServer) {
	t.Helper()
	key := must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	pem := must[[]byte](t)(cert.MakeCSR(key, &pkix.Name{CommonName: "alice"}, nil, nil))
	requests := fleet.Kube.CertificatesV1().CertificateSigningRequests()
	request := must[*certificatesv1.CertificateSigningRequest](t)(requests.Create(t.Context(), &certificatesv1.CertificateSigningRequest{
		ObjectMeta: metav1.ObjectMeta{Name: "alice"},
		Spec: certificatesv1.CertificateSigningRequestSpec{
			Request: pem, SignerName: certificatesv1.KubeAPIServerClientSignerName, Usages: []certificatesv1.KeyUsage{certificatesv1.UsageClientAuth},
		},
	}, metav1.CreateOptions{}))
	request.Status.Conditions = []certificatesv1.CertificateSigningRequestCondition{{
		Type: certificatesv1.CertificateApproved, Status: corev1.ConditionTrue, Reason: "Test",
	}}
	must[*certificatesv1.CertificateSigningRequest](t)(requests.UpdateApproval(t.Context(), "alice", request, metav1.UpdateOptions{}))
	eventually(t, "an approved request is signed", func(ctx context.Context) (bool, error) {
		request, err := requests.Get(ctx, "alice", metav1.GetOptions{})
		return err == nil && len(request.Status.Certificate) > 0, err
	})
}

func testExpiredBootstrapToken(t *testing.T, fleet *harness.APIServer) {
	t.Helper()
	secrets := fleet.Kube.CoreV1().Secrets("kube-system")
	must[*corev1.Secret](t)(secrets.Create(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "bootstrap-token-abcdef"},
		Type:       corev1.SecretTypeBootstrapToken,
		StringData: map[string]string{
			"token-id": "abcdef", "token-secret": "0123456789abcdef", "usage-bootstrap-authentication": "true",
			"expiration": time.Now().Add(-time.Hour).UTC().Format(time.RFC3339),
		},
	}, metav1.CreateOptions{}))
	eventually(t, "an expired bootstrap token is removed", func(ctx context.Context) (bool, error) {
		_, err := secrets.Get(ctx, "bootstrap-token-abcdef", metav1.GetOptions{})
		return apierrors.IsNotFound(err), nil
	})
}

func testFinishedJob(t *testing.T, fleet *harness.APIServer) {
	t.Helper()
	jobs := fleet.Kube.BatchV1().Jobs(newNamespace(t, fleet, "jobs"))
	var atOnce int32
	job := must[*batchv1.Job](t)(jobs.Create(t.Context(), &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Name: "done"},
		Spec: batchv1.JobSpec{
			TTLSecondsAfterFinished: &atOnce,
			Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
				RestartPolicy: corev1.RestartPolicyNever,
				Containers:    []corev1.Container{{Name: "c", Image: "busybox"}},
			}},
		},
	}, metav1.CreateOptions{}))
	now := metav1.Now()
	job.Status = batchv1.JobStatus{
		StartTime: &now, CompletionTime: &now, Succeeded: 1,
		Conditions: []batchv1.JobCondition{
			{Type: batchv1.JobSuccessCriteriaMet, Status: corev1.ConditionTrue, LastTransitionTime: now},
			{Type: batchv1.JobComplete, Status: corev1.ConditionTrue, LastTransitionTime: now},
		},
	}
	must[*batchv1.Job](t)(jobs.UpdateStatus(t.Context(), job, metav1.UpdateOptions{}))
	eventually(t, "a finished Job goes after its time", func(ctx context.Context) (bool, error) {
		_, err := jobs.Get(ctx, "done", metav1.GetOptions{})
		return apierrors.IsNotFound(err), nil
	})
}

func testAdmissionPolicy(t *testing.T, fleet *harness.APIServer) {
	t.Helper()
	policies := fleet.Kube.AdmissionregistrationV1().ValidatingAdmissionPolicies()
	must[*admissionregistrationv1.ValidatingAdmissionPolicy](t)(policies.Create(t.Context(), &admissionregistrationv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "mistaken"},
		Spec: admissionregistrationv1.ValidatingAdmissionPolicySpec{
			MatchConstraints: &admissionregistrationv1.MatchResources{ResourceRules: []admissionregistrationv1.NamedRuleWithOperations{{
				RuleWithOperations: admissionregistrationv1.RuleWithOperations{
					Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create},
					Rule:       admissionregistrationv1.Rule{APIGroups: []string{"apps"}, APIVersions: []string{"v1"}, Resources: []string{"deployments"}},
				},
			}}},
			Validations: []admissionregistrationv1.Validation{{Expression: "object.spec.replicsa < 5"}},
		},
	}, metav1.CreateOptions{}))
	eventually(t, "a misspelled field in a policy is pointed out", func(ctx context.Context) (bool, error) {
		policy, err := policies.Get(ctx, "mistaken", metav1.GetOptions{})
		if err != nil || policy.Status.TypeChecking == nil {
			return false, err
		}
		warnings := policy.Status.TypeChecking.ExpressionWarnings
		return len(warnings) == 1 && strings.Contains(warnings[0].Warning, "undefined field 'replicsa'"), nil
	})
}

func testNamespace(t *testing.T, fleet *harness.APIServer) {
	t.Helper()
	namespace := newNamespace(t, fleet, "ending")
	must[*corev1.ConfigMap](t)(fleet.Kube.CoreV1().ConfigMaps(namespace).Create(t.Context(),
		&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "c"}}, metav1.CreateOptions{}))
	if err := fleet.Kube.CoreV1().Namespaces().Delete(t.Context(), namespace, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a deleted namespace goes with its contents", func(ctx context.Context) (bool, error) {
		_, err := fleet.Kube.CoreV1().Namespaces().Get(ctx, namespace, metav1.GetOptions{})
		return apierrors.IsNotFound(err), nil
	})
}
