// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	certutil "k8s.io/client-go/util/cert"

	"fleet.dev/fleet/pkg/apis/wellknown"
	"fleet.dev/fleet/test/testbed"
)

const (
	// commandTimeout bounds one run of a client; patience bounds what takes seconds.
	commandTimeout = 2 * time.Minute
	patience       = 90 * time.Second

	// namespace and release are where the chart is installed.
	namespace, release = "hooks-system", "hooks"
)

// command is how a program of the binaries directory ended.
type command struct{ stdout, stderr string }

// client runs a program against the fleet.
func client(t *testing.T, program string, args ...string) (command, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), commandTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(bed.bin, program), args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+bed.fleet.Kubeconfig(), "HOME="+bed.dir)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	return command{stdout.String(), stderr.String()}, err
}

// kubectl runs kubectl in the namespace of the chart, and fails the test with it.
func kubectl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := client(t, "kubectl", append(args, "--namespace", namespace)...)
	if err != nil {
		t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out.stderr)
	}
	return out.stdout
}

// refused runs kubectl, which must fail, and returns what it says.
func refused(t *testing.T, args ...string) string {
	t.Helper()
	out, err := client(t, "kubectl", append(args, "--namespace", namespace)...)
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) {
		t.Fatalf("kubectl %s: want it to be refused, got %v and\n%s", strings.Join(args, " "), err, out.stdout)
	}
	return out.stderr
}

// eventually polls until a command prints what is wanted.
func eventually(t *testing.T, want string, args ...string) {
	t.Helper()
	var last string
	err := wait.PollUntilContextTimeout(t.Context(), 200*time.Millisecond, patience, true, func(context.Context) (bool, error) {
		out, _ := client(t, "kubectl", append(args, "--namespace", namespace)...)
		last = out.stdout + out.stderr
		return strings.Contains(last, want), nil
	})
	if err != nil {
		t.Fatalf("kubectl %s: want %q, got %q", strings.Join(args, " "), want, last)
	}
}

// install runs the servers and installs the chart for them.
func install(t *testing.T) {
	t.Helper()
	// The first certificate is the server's, the second its authority's.
	pair, key, err := certutil.GenerateSelfSignedCertKey(release+"."+namespace+".svc", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := tls.X509KeyPair(pair, key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	files := map[string][]byte{"cert": pair, "key": key, "ca": pair}
	args := []string{"install", release, filepath.Join("testdata", "chart"), "--namespace", namespace, "--create-namespace", "--wait", "--timeout", "90s"}
	for name, content := range files {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, "--set-file", "tls."+name+"="+file)
	}
	for _, m := range bed.members {
		serve(t, m.Name(), bed.socket(m.Name()), certificate)
	}
	if out, err := client(t, "helm4", args...); err != nil {
		t.Fatalf("helm %s: %v\n%s", strings.Join(args, " "), err, out.stderr)
	}
}

// TestChart takes a chart through its life: what it brings is called by the fleet, as
// long as one member runs it.
func TestChart(t *testing.T) {
	install(t)
	eventually(t, "True", "get", "apiservice", "v1.reports.hooks.example.com", "--output", `jsonpath={.status.conditions[?(@.type=="Available")].status}`)

	t.Run("Validates", checkValidates)
	t.Run("Converts", checkConverts)
	t.Run("Aggregates", checkAggregates)
	t.Run("Proxies", checkProxies)
	t.Run("StaysInTheFleet", checkStays)
	t.Run("OneMemberDown", func(t *testing.T) {
		for i, m := range bed.members {
			other := bed.members[1-i]
			t.Run(m.Name(), func(t *testing.T) {
				if err := m.APIServer.Kill(t.Context()); err != nil {
					t.Fatal(err)
				}
				defer restart(t, m)
				checkServedBy(t, other.Name())
			})
		}
	})
	t.Run("AllDown", checkAllDown)

	if got := kubectl(t, "get", "clusterresourcebindings.work.fleet.dev", "--output=name"); strings.Contains(got, "today") {
		t.Errorf("what the API server of the chart keeps is taken for a template:\n%s", got)
	}
	if out, err := client(t, "helm4", "uninstall", release, "--namespace", namespace, "--wait", "--timeout", "90s"); err != nil {
		t.Fatalf("helm uninstall: %v\n%s", err, out.stderr)
	}
	kubectl(t, "create", "configmap", "forbidden")
	kubectl(t, "delete", "namespace", namespace, "--timeout=90s")
}

// restart starts members whose API servers were killed, side by side, and what ended
// with those.
func restart(t *testing.T, members ...*testbed.Member) {
	t.Helper()
	errs := make([]error, len(members))
	var starting sync.WaitGroup
	for i, m := range members {
		starting.Go(func() { errs[i] = m.Start(context.WithoutCancel(t.Context())) })
	}
	starting.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func checkValidates(t *testing.T) {
	kubectl(t, "create", "configmap", "fine")
	said := refused(t, "create", "configmap", "forbidden")
	if want := `admission webhook "strict.hooks.example.com" denied the request: forbidden by the server in member`; !strings.Contains(said, want) {
		t.Errorf("a denied object: want %q, got %q", want, said)
	}
	for _, verb := range []string{"create", "delete"} { // of another namespace it is not asked
		if out, err := client(t, "kubectl", verb, "configmap", "forbidden", "--namespace=default"); err != nil {
			t.Errorf("kubectl %s: %v\n%s", verb, err, out.stderr)
		}
	}
}

func checkConverts(t *testing.T) {
	file := filepath.Join(t.TempDir(), "widget.yaml")
	widget := "apiVersion: hooks.example.com/v1\nkind: Widget\nmetadata: {name: w}\nspec: {size: \"3\"}\n"
	if err := os.WriteFile(file, []byte(widget), 0o600); err != nil {
		t.Fatal(err)
	}
	kubectl(t, "apply", "--filename", file)
	if got := kubectl(t, "get", "widgets.v2.hooks.example.com", "w", "--output", "jsonpath={.spec}"); got != `{"length":3}` {
		t.Errorf("a widget in the other version: want its length, got %s", got)
	}
	kubectl(t, "patch", "widgets.v2.hooks.example.com", "w", "--type=merge", "--patch", `{"spec": {"length": 5}}`)
	if got := kubectl(t, "get", "widgets.v1.hooks.example.com", "w", "--output", "jsonpath={.spec}"); got != `{"size":"5"}` {
		t.Errorf("a widget that was written in the other version: want its size, got %s", got)
	}
}

func checkAggregates(t *testing.T) {
	if got := kubectl(t, "get", "reports.reports.hooks.example.com", "today", "--output", "jsonpath={.by}"); !strings.HasPrefix(got, "member") {
		t.Errorf("an object of the API server of the chart: want it to say who served it, got %q", got)
	}
	if got := kubectl(t, "api-resources", "--api-group=reports.hooks.example.com", "--output=name"); got != "reports.reports.hooks.example.com\n" {
		t.Errorf("resources of the API server of the chart: %q", got)
	}
}

// checkProxies asks the server by the subresource proxy of its Service and of its Pods.
func checkProxies(t *testing.T) {
	base := "/api/v1/namespaces/" + namespace
	if got := kubectl(t, "get", "--raw", base+"/services/https:hooks:443/proxy/who"); !strings.HasPrefix(got, "member") {
		t.Errorf("the Service answers %q", got)
	}
	pods := strings.Fields(kubectl(t, "get", "pods", "--selector=app=hooks", "--output", `jsonpath={range .items[*]}{.metadata.name}={.metadata.labels.fleet\.dev/cluster} {end}`))
	if len(pods) != len(bed.members) {
		t.Errorf("want a Pod in each member, got %v", pods)
	}
	for _, pod := range pods {
		name, member, _ := strings.Cut(pod, "=")
		if got := kubectl(t, "get", "--raw", base+"/pods/https:"+name+":8443/proxy/who"); got != member {
			t.Errorf("Pod %s answers %q, want %q", name, got, member)
		}
	}
	if said := refused(t, "get", "--raw", base+"/services/https:hooks:80/proxy/who"); !strings.Contains(said, "no service port 80 found") {
		t.Errorf("a port that the Service does not have: %q", said)
	}
}

// checkStays checks that what tells the fleet whom to call stays there.
func checkStays(t *testing.T) {
	for _, m := range bed.members {
		config, err := m.RESTConfig()
		if err != nil {
			t.Fatal(err)
		}
		memberClient, err := kubernetes.NewForConfig(config)
		if err != nil {
			t.Fatal(err)
		}
		if hooks, err := memberClient.AdmissionregistrationV1().ValidatingWebhookConfigurations().List(t.Context(), metav1.ListOptions{LabelSelector: wellknown.LabelManagedBy}); err != nil || len(hooks.Items) > 0 {
			t.Errorf("webhooks in %s: want none, got %v, %v", m.Name(), hooks.Items, err)
		}
		if _, err := memberClient.CoreV1().Services(namespace).Get(t.Context(), release, metav1.GetOptions{}); err != nil {
			t.Errorf("the Service in %s: %v", m.Name(), err)
		}
	}
}

// checkServedBy checks that a member answers for the Service, again and again.
func checkServedBy(t *testing.T, member string) {
	t.Helper()
	// A call that is on its way to the member that went is lost with it.
	eventually(t, "forbidden by the server in "+member, "create", "configmap", "forbidden")
	for i := range 5 {
		if said := refused(t, "create", "configmap", "forbidden"); !strings.Contains(said, "forbidden by the server in "+member) {
			t.Errorf("webhook, attempt %d: want %s to answer, got %q", i, member, said)
		}
	}
	eventually(t, member, "get", "--raw", "/api/v1/namespaces/"+namespace+"/services/https:hooks:443/proxy/who")
	eventually(t, member, "get", "reports.reports.hooks.example.com", "today", "--output", "jsonpath={.by}")
}

// checkAllDown: what needs the webhook fails and says why, as in any cluster, and what
// does not need it goes on.
func checkAllDown(t *testing.T) {
	defer restart(t, bed.members...)
	for _, m := range bed.members {
		if err := m.APIServer.Kill(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	said := refused(t, "create", "configmap", "other")
	for _, want := range []string{`failed calling webhook "strict.hooks.example.com"`, `dial service "hooks-system/hooks"`, `member "member1": `, `member "member2": `} {
		if !strings.Contains(said, want) {
			t.Errorf("no member runs the webhook: want %q, got %q", want, said)
		}
	}
	kubectl(t, "create", "serviceaccount", "lenient")
	kubectl(t, "scale", "deployment", release, "--replicas=2")
	eventually(t, "replicas=2", "get", "resourcebindings.work.fleet.dev", release+"-deployment", "--output", "jsonpath=replicas={.spec.replicas}")
	if said := refused(t, "get", "--raw", "/api/v1/namespaces/"+namespace+"/services/https:hooks:443/proxy/who"); !strings.Contains(said, `member "member1": `) {
		t.Errorf("proxy of a Service that no member answers for: %q", said)
	}
	eventually(t, "FailedDiscoveryCheck", "get", "apiservice", "v1.reports.hooks.example.com", "--output", "jsonpath={.status.conditions[*].reason}")
}
