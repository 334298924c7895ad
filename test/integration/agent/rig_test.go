// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/cert"
	bootstrapapi "k8s.io/cluster-bootstrap/token/api"
	bootstraputil "k8s.io/cluster-bootstrap/token/util"
	"k8s.io/kubernetes/cmd/kubeadm/app/util/pubkeypin"

	"fleet.dev/fleet/cmd/fleet/register"
	"fleet.dev/fleet/pkg/agent"
	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/pkg/apis/wellknown"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/controllers/manager"
	"fleet.dev/fleet/test/integration/harness"
)

const (
	// patience bounds every wait.
	patience = 60 * time.Second
	cluster  = "paris"
	token    = "abcdef.0123456789abcdef"
)

// rig is a fleet and a cluster that may join it.
type rig struct {
	*testing.T
	fleet  *harness.APIServer
	member *harness.APIServer
}

// newRig starts both. The fleet signs certificates for so long at most.
func newRig(t *testing.T, signing time.Duration) *rig {
	t.Helper()
	r := &rig{T: t, fleet: harness.StartAPIServer(t, ""), member: harness.StartAPIServer(t, "")}
	config, err := manager.NewConfig(r.fleet.ConfigFor(t, "controller-manager"))
	if err != nil {
		t.Fatal(err)
	}
	config.Kube.SAController.ServiceAccountKeyFile = r.pki("sa.key")
	config.Kube.SAController.RootCAFile = r.pki("ca.crt")
	config.Kube.CSRSigningController.ClusterSigningCertFile = r.pki("ca.crt")
	config.Kube.CSRSigningController.ClusterSigningKeyFile = r.pki("ca.key")
	config.Kube.CSRSigningController.ClusterSigningDuration.Duration = signing
	controllers, err := manager.New(config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- controllers.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("stop the controller manager: %v", err)
		}
	})
	return r
}

func (r *rig) pki(name string) string { return filepath.Join(r.fleet.DataDir, "pki", name) }

// makeToken makes the bootstrap token, with the groups of "fleet token create".
func (r *rig) makeToken(groups ...string) {
	r.Helper()
	id, secret, _ := strings.Cut(token, ".")
	groups = append(groups, wellknown.GroupAgentBootstrappers)
	_, err := r.fleet.Kube.CoreV1().Secrets(metav1.NamespaceSystem).Create(r.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: bootstraputil.BootstrapTokenSecretName(id)},
		Type:       bootstrapapi.SecretTypeBootstrapToken,
		StringData: map[string]string{
			bootstrapapi.BootstrapTokenIDKey: id, bootstrapapi.BootstrapTokenSecretKey: secret,
			bootstrapapi.BootstrapTokenUsageAuthentication: "true", bootstrapapi.BootstrapTokenUsageSigningKey: "true",
			bootstrapapi.BootstrapTokenExtraGroupsKey: strings.Join(groups, ","),
		},
	}, metav1.CreateOptions{})
	if err != nil {
		r.Fatal(err)
	}
}

// register does what the command does, without the Deployment.
func (r *rig) register() register.Installation {
	r.Helper()
	authorities, err := cert.CertsFromFile(r.pki("ca.crt"))
	if err != nil {
		r.Fatal(err)
	}
	var found *register.Fleet
	r.eventually("the fleet proves itself and takes the token", func(ctx context.Context) (bool, error) {
		found, err = register.Discover(ctx, register.Source{Server: r.fleet.Config.Host, Token: token, CACertHashes: []string{pubkeypin.Hash(authorities[0])}})
		return true, err
	})
	installation := register.Installation{Cluster: cluster, Fleet: found, Image: register.DefaultImage()}
	if err := r.administrator().Install(r.Context(), installation, false); err != nil {
		r.Fatal(err)
	}
	return installation
}

// administrator is who installs agents in the member.
func (r *rig) administrator() *register.Member {
	r.Helper()
	member, err := register.NewMember(r.member.Config)
	if err != nil {
		r.Fatal(err)
	}
	return member
}

// account reaches the member as the agent's ServiceAccount, with the rights it was
// installed with.
func (r *rig) account() *rest.Config {
	r.Helper()
	request := &authenticationv1.TokenRequest{}
	answer, err := r.member.Kube.CoreV1().ServiceAccounts(wellknown.NamespaceSystem).CreateToken(r.Context(), wellknown.AgentName, request, metav1.CreateOptions{})
	if err != nil {
		r.Fatal(err)
	}
	config := rest.AnonymousClientConfig(r.member.Config)
	config.BearerToken = answer.Status.Token
	config.QPS = -1
	return config
}

// start runs an agent. kill ends it as a crash would, as far as a goroutine can;
// ended has its error.
func (r *rig) start() (kill func(), ended <-chan error) {
	r.Helper()
	return r.startWith(r.account())
}

// startWith runs an agent that reaches the member in another way.
func (r *rig) startWith(member *rest.Config) (kill func(), ended <-chan error) {
	r.Helper()
	a, err := agent.New(agent.Config{Cluster: cluster, Member: func() (*rest.Config, error) { return member, nil }})
	if err != nil {
		r.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done, result := make(chan struct{}), make(chan error, 1)
	go func() {
		defer close(done)
		result <- a.Run(ctx)
	}()
	kill = sync.OnceFunc(func() { cancel(); <-done })
	r.Cleanup(kill)
	return kill, result
}

// credentials are what the agent has stored.
func (r *rig) credentials() agent.Credentials {
	r.Helper()
	credentials, err := agent.NewSecretStore(r.member.Kube.CoreV1()).Load(r.Context())
	if err != nil {
		r.Fatal(err)
	}
	return credentials
}

// accept does what "fleet accept" does.
func (r *rig) accept() { r.setAccepted(true) }

func (r *rig) setAccepted(accepted bool) {
	r.Helper()
	patch := fmt.Appendf(nil, `{"spec":{"accepted":%t}}`, accepted)
	if _, err := r.fleet.Fleet.ClusterV1alpha1().Clusters().Patch(r.Context(), cluster, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		r.Fatal(err)
	}
}

// place makes a ConfigMap and a binding that puts it on the member, as the
// scheduler would.
func (r *rig) place(name string) {
	r.Helper()
	template, err := r.fleet.Kube.CoreV1().ConfigMaps(metav1.NamespaceDefault).Create(r.Context(),
		&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: map[string]string{"n": "0"}}, metav1.CreateOptions{})
	if err != nil {
		r.Fatal(err)
	}
	binding := &workv1alpha1.ResourceBinding{
		ObjectMeta: metav1.ObjectMeta{Name: workv1alpha1.BindingName("ConfigMap", name)},
		Spec: workv1alpha1.BindingSpec{
			Resource: workv1alpha1.ObjectReference{APIVersion: "v1", Kind: "ConfigMap", Namespace: metav1.NamespaceDefault, Name: name, UID: template.UID},
			Clusters: []workv1alpha1.TargetCluster{{Name: cluster}},
		},
	}
	if _, err := r.fleet.Fleet.WorkV1alpha1().ResourceBindings(metav1.NamespaceDefault).Create(r.Context(), binding, metav1.CreateOptions{}); err != nil {
		r.Fatal(err)
	}
}

// edit changes a template.
func (r *rig) edit(name string, n int) {
	r.Helper()
	patch := fmt.Appendf(nil, `{"data":{"n":"%d"}}`, n)
	if _, err := r.fleet.Kube.CoreV1().ConfigMaps(metav1.NamespaceDefault).Patch(r.Context(), name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		r.Fatal(err)
	}
}

// awaitPlaced waits until the member has the template as it is, and returns its
// object there.
func (r *rig) awaitPlaced(name string, n int) *corev1.ConfigMap {
	r.Helper()
	var object *corev1.ConfigMap
	r.eventually("the member has the object", func(ctx context.Context) (ok bool, err error) {
		object, err = r.member.Kube.CoreV1().ConfigMaps(metav1.NamespaceDefault).Get(ctx, name, metav1.GetOptions{})
		return err == nil && object.Data["n"] == fmt.Sprint(n), err
	})
	return object
}

// awaitCluster waits for a Cluster that is as wanted.
func (r *rig) awaitCluster(reason string, is func(*clusterv1alpha1.Cluster) bool) *clusterv1alpha1.Cluster {
	r.Helper()
	var last *clusterv1alpha1.Cluster
	r.eventually(reason, func(ctx context.Context) (ok bool, err error) {
		last, err = r.fleet.Fleet.ClusterV1alpha1().Clusters().Get(ctx, cluster, metav1.GetOptions{})
		return err == nil && is(last), err
	})
	return last
}

// eventually waits until met returns true, and fails with reason if it does not.
// Errors of met count as not yet.
func (r *rig) eventually(reason string, met func(ctx context.Context) (bool, error)) {
	r.Helper()
	var last error
	err := wait.PollUntilContextTimeout(r.Context(), 100*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
		var ok bool
		ok, last = met(ctx)
		return ok && last == nil, nil
	})
	if err != nil {
		r.Fatalf("%s: not within %s (last error: %v)", reason, patience, last)
	}
}

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
