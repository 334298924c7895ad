// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package syncer

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/yaml"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/pkg/apis/wellknown"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/controllers/cluster"
	"fleet.dev/fleet/pkg/syncer"
	"fleet.dev/fleet/test/e2e/witness"
	"fleet.dev/fleet/test/integration/harness"
	"fleet.dev/fleet/test/testbed"
	"fleet.dev/fleet/test/testbed/toolchain"
)

const (
	memberName = "m1"
	// patience is how long anything may take on a busy machine.
	patience = 30 * time.Second
)

// auditPolicy logs what the fleet asks of the member, but for lists and watches.
const auditPolicy = `
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  userGroups: ["system:serviceaccounts:fleet-system"]
  verbs: [get, create, update, patch, delete, deletecollection]
- level: None
`

// stage is a fleet, a member, and a syncer between them.
type stage struct {
	*testing.T
	fleet  *harness.APIServer
	bed    *testbed.Member
	member kubernetes.Interface
	memory dynamic.Interface // of the member
	audit  witness.AuditLog
}

func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{T: t}
	s.startMember()
	s.fleet = harness.StartAPIServer(t, "")
	s.join()
	return s
}

func (s *stage) startMember() {
	s.Helper()
	repo, err := toolchain.Repo(".")
	s.must(err)
	dir := s.TempDir()
	policy := filepath.Join(dir, "policy.yaml")
	s.must(os.WriteFile(policy, []byte(auditPolicy), 0o600))
	s.audit = witness.AuditLog{File: filepath.Join(dir, "audit.log")}
	bed, err := testbed.Open(s.Context(), testbed.Config{Dir: filepath.Join(dir, "bed"), Bin: filepath.Join(repo, "_bin")})
	s.must(err)
	s.Cleanup(func() {
		if err := bed.Destroy(context.WithoutCancel(s.Context())); err != nil {
			s.Errorf("destroy test bed: %v", err)
		}
	})
	s.bed, err = bed.StartMember(s.Context(), testbed.MemberConfig{
		Name:  memberName,
		Flags: map[string][]string{"kube-apiserver": {"--audit-policy-file=" + policy, "--audit-log-path=" + s.audit.File}},
	})
	s.must(err)
	config, err := s.bed.RESTConfig()
	s.must(err)
	s.member, err = kubernetes.NewForConfig(config)
	s.must(err)
	s.memory, err = dynamic.NewForConfig(config)
	s.must(err)
}

// join makes the member known to the fleet, with a token in the member.
func (s *stage) join() {
	s.Helper()
	account := metav1.ObjectMeta{Name: "syncer", Namespace: wellknown.NamespaceSystem}
	_, err := s.member.CoreV1().Namespaces().Create(s.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: account.Namespace}}, metav1.CreateOptions{})
	s.must(err)
	_, err = s.member.CoreV1().ServiceAccounts(account.Namespace).Create(s.Context(), &corev1.ServiceAccount{ObjectMeta: account}, metav1.CreateOptions{})
	s.must(err)
	_, err = s.member.RbacV1().ClusterRoleBindings().Create(s.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "syncer"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: account.Name, Namespace: account.Namespace}},
	}, metav1.CreateOptions{})
	s.must(err)
	token, err := s.member.CoreV1().ServiceAccounts(account.Namespace).CreateToken(s.Context(), account.Name, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	s.must(err)
	system, err := s.member.CoreV1().Namespaces().Get(s.Context(), metav1.NamespaceSystem, metav1.GetOptions{})
	s.must(err)
	config, err := s.bed.RESTConfig()
	s.must(err)
	ca := config.CAData
	if len(ca) == 0 {
		ca, err = os.ReadFile(config.CAFile)
		s.must(err)
	}

	namespace := clusterv1alpha1.MemberNamespace(memberName)
	_, err = s.fleet.Kube.CoreV1().Namespaces().Create(s.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, metav1.CreateOptions{})
	s.must(err)
	_, err = s.fleet.Kube.CoreV1().Secrets(namespace).Create(s.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: memberName},
		Data:       map[string][]byte{wellknown.SecretKeyToken: []byte(token.Status.Token), wellknown.SecretKeyCABundle: ca},
	}, metav1.CreateOptions{})
	s.must(err)
	// There is no cluster controller here.
	_, err = s.fleet.Kube.RbacV1().RoleBindings(namespace).Create(s.Context(), cluster.SyncerAccess(memberName), metav1.CreateOptions{})
	s.must(err)
	_, err = s.fleet.Fleet.ClusterV1alpha1().Clusters().Create(s.Context(), &clusterv1alpha1.Cluster{
		ObjectMeta: metav1.ObjectMeta{Name: memberName},
		Spec: clusterv1alpha1.ClusterSpec{
			SyncMode: clusterv1alpha1.Push, ID: string(system.UID), APIEndpoint: config.Host,
			SecretRef: &clusterv1alpha1.LocalSecretReference{Namespace: namespace, Name: memberName},
		},
	}, metav1.CreateOptions{})
	s.must(err)
}

// sync runs a syncer until stop is called, or the test ends.
func (s *stage) sync() (stop func()) {
	s.Helper()
	carrier, err := syncer.New(syncer.Config{FleetConfig: s.fleet.ConfigFor(s, "syncer"), Members: syncer.Push(nil)})
	s.must(err)
	ctx, cancel := context.WithCancel(s.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := carrier.Run(ctx); err != nil {
			s.Errorf("run syncer: %v", err)
		}
	})
	stop = func() { cancel(); wg.Wait() }
	s.Cleanup(stop)
	return stop
}

func (s *stage) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// on returns a stage for a subtest.
func (s *stage) on(t *testing.T) *stage {
	t.Helper()
	other := *s
	other.T = t
	return &other
}

// eventually tries until there is no error.
func (s *stage) eventually(what string, try func(ctx context.Context) error) {
	s.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := try(s.Context())
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			s.Fatalf("waited %s for %s: %v", patience, what, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// asked returns what the fleet asked of the member since mark about objects
// of a resource, as "verb": number.
func (s *stage) asked(mark witness.Mark, resource string) map[string]int {
	s.Helper()
	requests, err := s.audit.Since(mark, func(w witness.Write) bool { return resource == "" || w.Resource == resource })
	s.must(err)
	asked := map[string]int{}
	for _, request := range requests {
		if request.Resource == "" || request.Resource == "namespaces" && request.Name == metav1.NamespaceSystem {
			continue // the syncer looks whom it is talking to, and what that can do
		}
		asked[request.Verb]++
	}
	return asked
}

func (s *stage) mark() witness.Mark {
	s.Helper()
	mark, err := s.audit.Mark()
	s.must(err)
	return mark
}

// resources are those of the kinds the tests use.
var resources = map[string]schema.GroupVersionResource{
	"ConfigMap":                {Version: "v1", Resource: "configmaps"},
	"CustomResourceDefinition": {Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"},
	"CronJob":                  {Group: "batch", Version: "v1", Resource: "cronjobs"},
	"DaemonSet":                {Group: "apps", Version: "v1", Resource: "daemonsets"},
	"Deployment":               {Group: "apps", Version: "v1", Resource: "deployments"},
	"Ingress":                  {Group: "networking.k8s.io", Version: "v1", Resource: "ingresses"},
	"Job":                      {Group: "batch", Version: "v1", Resource: "jobs"},
	"Namespace":                {Version: "v1", Resource: "namespaces"},
	"NetworkPolicy":            {Group: "networking.k8s.io", Version: "v1", Resource: "networkpolicies"},
	"PersistentVolumeClaim":    {Version: "v1", Resource: "persistentvolumeclaims"},
	"PodDisruptionBudget":      {Group: "policy", Version: "v1", Resource: "poddisruptionbudgets"},
	"Role":                     {Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "roles"},
	"RoleBinding":              {Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "rolebindings"},
	"Secret":                   {Version: "v1", Resource: "secrets"},
	"Service":                  {Version: "v1", Resource: "services"},
	"ServiceAccount":           {Version: "v1", Resource: "serviceaccounts"},
	"StatefulSet":              {Group: "apps", Version: "v1", Resource: "statefulsets"},
	"Widget":                   {Group: "shop.example.com", Version: "v1", Resource: "widgets"},
}

// template is an object in the fleet and the binding that takes it to the member.
type template struct {
	*stage
	object  *unstructured.Unstructured
	binding string
}

// place creates an object in the fleet and decides that it goes to the member.
func (s *stage) place(manifest string, changes ...func(*workv1alpha1.BindingSpec)) *template {
	s.Helper()
	object := &unstructured.Unstructured{}
	s.must(yaml.Unmarshal([]byte(manifest), &object.Object))
	t := &template{stage: s, binding: workv1alpha1.BindingName(object.GetKind(), object.GetName())}
	var err error
	t.object, err = s.fleet.Dynamic.Resource(resources[object.GetKind()]).Namespace(object.GetNamespace()).Create(s.Context(), object, metav1.CreateOptions{})
	s.must(err)
	replicas, _, _ := unstructured.NestedInt64(t.object.Object, "spec", "replicas")
	spec := workv1alpha1.BindingSpec{
		Resource: workv1alpha1.ObjectReference{
			APIVersion: t.object.GetAPIVersion(), Kind: t.object.GetKind(),
			Namespace: t.object.GetNamespace(), Name: t.object.GetName(), UID: t.object.GetUID(),
		},
		Replicas: int32(replicas),
		Clusters: []workv1alpha1.TargetCluster{{Name: memberName, Replicas: int32(replicas)}},
	}
	for _, change := range changes {
		change(&spec)
	}
	meta := metav1.ObjectMeta{Name: t.binding, Namespace: t.object.GetNamespace()}
	client := s.fleet.Fleet.WorkV1alpha1()
	if meta.Namespace == "" {
		_, err = client.ClusterResourceBindings().Create(s.Context(), &workv1alpha1.ClusterResourceBinding{ObjectMeta: meta, Spec: spec}, metav1.CreateOptions{})
	} else {
		_, err = client.ResourceBindings(meta.Namespace).Create(s.Context(), &workv1alpha1.ResourceBinding{ObjectMeta: meta, Spec: spec}, metav1.CreateOptions{})
	}
	s.must(err)
	return t
}

func (t *template) getBinding(ctx context.Context) (workv1alpha1.Binding, error) {
	client := t.fleet.Fleet.WorkV1alpha1()
	if t.object.GetNamespace() == "" {
		return client.ClusterResourceBindings().Get(ctx, t.binding, metav1.GetOptions{})
	}
	return client.ResourceBindings(t.object.GetNamespace()).Get(ctx, t.binding, metav1.GetOptions{})
}

// decide changes the decision about a namespaced template.
func (t *template) decide(change func(*workv1alpha1.BindingSpec)) int64 {
	t.Helper()
	client := t.fleet.Fleet.WorkV1alpha1().ResourceBindings(t.object.GetNamespace())
	var generation int64
	t.eventually("the decision to be written", func(ctx context.Context) error {
		binding, err := client.Get(ctx, t.binding, metav1.GetOptions{})
		if err != nil {
			return err
		}
		change(&binding.Spec)
		binding, err = client.Update(ctx, binding, metav1.UpdateOptions{})
		if err == nil {
			generation = binding.Generation
		}
		return err
	})
	return generation
}

// edit changes the object in the fleet.
func (t *template) edit(change func(*unstructured.Unstructured)) {
	t.Helper()
	client := t.fleet.Dynamic.Resource(resources[t.object.GetKind()]).Namespace(t.object.GetNamespace())
	t.eventually("the template to be written", func(ctx context.Context) error {
		object, err := client.Get(ctx, t.object.GetName(), metav1.GetOptions{})
		if err != nil {
			return err
		}
		change(object)
		t.object, err = client.Update(ctx, object, metav1.UpdateOptions{})
		return err
	})
}

// reported waits for the member's report to be as wanted.
func (t *template) reported(what string, is func(workv1alpha1.AggregatedStatusItem) bool) workv1alpha1.AggregatedStatusItem {
	t.Helper()
	var last workv1alpha1.AggregatedStatusItem
	t.eventually(fmt.Sprintf("the report on %s %s to say %s", t.object.GetKind(), t.object.GetName(), what), func(ctx context.Context) error {
		binding, err := t.getBinding(ctx)
		if err != nil {
			return err
		}
		for _, item := range binding.GetStatus().AggregatedStatus {
			if last = item; item.ClusterName == memberName && is(item) {
				return nil
			}
		}
		return fmt.Errorf("it is %v", binding.GetStatus().AggregatedStatus)
	})
	return last
}

// applied is a report that the object is as it should be, and healthy.
func applied(item workv1alpha1.AggregatedStatusItem) bool {
	return item.Applied && item.Health == workv1alpha1.ResourceHealthy
}

// inMember reads the object in the member.
func (t *template) inMember(ctx context.Context) (*unstructured.Unstructured, error) {
	return t.memory.Resource(resources[t.object.GetKind()]).Namespace(t.object.GetNamespace()).Get(ctx, t.object.GetName(), metav1.GetOptions{})
}

// quiet waits until the member's objects and the reports on them have stopped
// changing.
func (s *stage) quiet(templates ...*template) {
	s.Helper()
	var last string
	since := time.Now()
	s.eventually("things to settle", func(ctx context.Context) error {
		now := ""
		for _, t := range templates {
			object, err := t.inMember(ctx)
			if err != nil {
				return err
			}
			binding, err := t.getBinding(ctx)
			if err != nil {
				return err
			}
			now += object.GetResourceVersion() + " " + binding.GetResourceVersion() + " "
		}
		if now != last {
			last, since = now, time.Now()
		}
		if time.Since(since) < time.Second {
			return fmt.Errorf("they changed %s ago", time.Since(since))
		}
		return nil
	})
}
