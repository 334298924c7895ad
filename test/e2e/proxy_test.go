// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fleet.dev/fleet/test/e2e/witness"
)

// reachers are a group of users that the fleet lets through to its members. What
// they may do there, the members decide.
const reachers = "e2e-reachers"

// TestReach works in each member through the fleet, with plain kubectl.
func TestReach(t *testing.T) {
	t.Parallel()
	allowReachers(t)
	alice := newUser(t, "alice", reachers, "e2e-developers")
	bob := newUser(t, "bob", reachers, "e2e-auditors")
	carol := newUser(t, "carol")
	for _, m := range bed.members {
		t.Run(m.Name(), func(t *testing.T) {
			// One name, so that only the member's own rules make a difference.
			for _, user := range []command{alice, bob, carol} {
				must(t, user, "fleet", "kubeconfig", m.Name(), "--context-name", m.Name())
			}
			r := newReach(m, makeReachNamespace(t, m), "--context", m.Name())
			r.grant(t)
			mark, err := m.audit.Mark()
			if err != nil {
				t.Fatal(err)
			}
			must(t, alice, "kubectl", r.args("create", "deployment", "web", "--image=nginx")...)
			must(t, alice, "kubectl", r.args("rollout", "status", "deployment/web", "--timeout=60s")...)
			r.checkAudit(t, mark)
			t.Run("Rules", func(t *testing.T) { r.checkRules(t, alice, bob, carol) })
			r.checkPodVerbs(t, alice)
			t.Run("Watch", func(t *testing.T) { r.checkWatch(t, alice) })
		})
	}
}

// allowReachers lets the group through to every member.
func allowReachers(t *testing.T) {
	t.Helper()
	fleet, err := fleetKube()
	if err != nil {
		t.Fatal(err)
	}
	meta := metav1.ObjectMeta{Name: reachers}
	roles, bindings := fleet.RbacV1().ClusterRoles(), fleet.RbacV1().ClusterRoleBindings()
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		if err := errors.Join(bindings.Delete(ctx, reachers, metav1.DeleteOptions{}), roles.Delete(ctx, reachers, metav1.DeleteOptions{})); err != nil {
			t.Errorf("clean up: %v", err)
		}
	})
	if _, err := roles.Create(t.Context(), &rbacv1.ClusterRole{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{"cluster.fleet.dev"}, Resources: []string{"clusters"}, Verbs: []string{"get"}},
		{APIGroups: []string{"cluster.fleet.dev"}, Resources: []string{"clusters/proxy"}, Verbs: []string{"*"}},
	}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := bindings.Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: meta,
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: reachers},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: reachers}},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// reach is a way to what runs in a namespace of a member.
type reach struct {
	member    *member
	namespace string
	way       []string // how kubectl is told to take it
	target    string   // what Pods are entered
}

func newReach(m *member, namespace string, way ...string) *reach {
	return &reach{member: m, namespace: namespace, way: append(way, "--namespace", namespace), target: "deployment/web"}
}

// makeReachNamespace makes a namespace in a member.
func makeReachNamespace(t *testing.T, m *member) string {
	t.Helper()
	namespaces := m.memberClient.CoreV1().Namespaces()
	namespace, err := namespaces.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "reach-"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := namespaces.Delete(context.WithoutCancel(t.Context()), namespace.Name, metav1.DeleteOptions{}); err != nil {
			t.Errorf("clean up: %v", err)
		}
	})
	return namespace.Name
}

// args are the arguments of kubectl on that way.
func (r *reach) args(args ...string) []string {
	return append(slices.Clone(r.way), args...)
}

// grant lets alice, by her name, and auditors, by their group, do things in the
// namespace. It is the member's administrator who does that, in the member.
func (r *reach) grant(t *testing.T) {
	t.Helper()
	for role, subject := range map[string]rbacv1.Subject{
		"admin": {APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "alice"},
		"view":  {APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: "e2e-auditors"},
	} {
		_, err := r.member.memberClient.RbacV1().RoleBindings(r.namespace).Create(t.Context(), &rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: role},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
			Subjects:   []rbacv1.Subject{subject},
		}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// checkAudit checks that the member's audit log says who asked.
func (r *reach) checkAudit(t *testing.T, mark witness.Mark) {
	t.Helper()
	writes, err := r.member.audit.Since(mark, func(w witness.Write) bool { return w.Namespace == r.namespace && w.Resource == "deployments" })
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, w := range writes {
		got = append(got, fmt.Sprintf("%s %s as %s: %d", w.Verb, w.Name, w.Impersonated, w.Code))
	}
	if diff := cmp.Diff([]string{"create web as alice: 201"}, got); diff != "" {
		t.Errorf("the member's audit log says who did what: -want +got:\n%s", diff)
	}
}

// checkRules checks that the member's own rules decide.
func (r *reach) checkRules(t *testing.T, alice, bob, carol command) {
	t.Helper()
	cases := map[string]struct {
		reason string
		user   command
		args   []string
		want   string // in the output, "" for nothing
		refuse string // in the error, "" for none
	}{
		"AliceReads":    {"she administers the namespace", alice, []string{"get", "deployments", "-o", "name"}, "deployment.apps/web", ""},
		"AliceSecrets":  {"an administrator sees secrets", alice, []string{"get", "secrets", "-o", "name"}, "", ""},
		"AliceNodes":    {"her role is for one namespace", alice, []string{"get", "nodes"}, "", `User "alice" cannot list resource "nodes"`},
		"BobReads":      {"his group may look", bob, []string{"get", "deployments", "-o", "name"}, "deployment.apps/web", ""},
		"BobSecrets":    {"but not at secrets", bob, []string{"get", "secrets"}, "", `User "bob" cannot list resource "secrets"`},
		"BobWrites":     {"and not change anything", bob, []string{"scale", "deployment/web", "--replicas=0"}, "", `User "bob" cannot patch resource "deployments/scale"`},
		"CarolStays":    {"whom the fleet does not let through gets nowhere", carol, []string{"get", "deployments"}, "", `User "carol" cannot get resource "clusters/proxy"`},
		"AliceAsBob":    {"who may not impersonate in the fleet does not in a member", alice, []string{"get", "secrets", "--as=bob"}, "", `User "alice" cannot impersonate`},
		"AliceAsMaster": {"nor become an administrator", alice, []string{"get", "nodes", "--as=alice", "--as-group=system:masters"}, "", `User "alice" cannot impersonate`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			out := tc.user.run(t, "kubectl", r.args(tc.args...)...)
			switch {
			case tc.refuse != "" && (out.code == 0 || !strings.Contains(out.stderr, tc.refuse)):
				t.Errorf("%s: want an error with %s, got %d %s%s", tc.reason, tc.refuse, out.code, out.stdout, out.stderr)
			case tc.refuse == "" && (out.code != 0 || !strings.Contains(out.stdout, tc.want)):
				t.Errorf("%s: want %q, got %d %s%s", tc.reason, tc.want, out.code, out.stdout, out.stderr)
			}
		})
	}
}

// checkPodVerbs enters a Pod of the target in every way there is.
func (r *reach) checkPodVerbs(t *testing.T, user command) {
	t.Helper()
	for name, transport := range map[string]string{"WebSocket": "true", "SPDY": "false"} {
		user := user
		user.env = []string{"KUBECTL_REMOTE_COMMAND_WEBSOCKETS=" + transport, "KUBECTL_PORT_FORWARD_WEBSOCKETS=" + transport}
		t.Run("Exec"+name, func(t *testing.T) { r.checkExec(t, user) })
		t.Run("PortForward"+name, func(t *testing.T) { r.checkPortForward(t, user) })
	}
	t.Run("Logs", func(t *testing.T) { r.checkLogs(t, user) })
}

// checkExec runs commands in a Pod. kwok tells a command nothing of the end of its
// input, and its client of an exit status but in words; over SPDY it may lose what
// a command says right before it ends, in any cluster.
func (r *reach) checkExec(t *testing.T, user command) {
	t.Helper()
	user.stdin = "hello\n"
	if out := must(t, user, "kubectl", r.args("exec", "-i", r.target, "--", "sh", "-c", "read line; echo $line world; sleep 0.2")...); out != "hello world\n" {
		t.Errorf("exec carries input and output, got %q", out)
	}
	out := user.run(t, "kubectl", r.args("exec", r.target, "--", "sh", "-c", "echo oops >&2; sleep 0.2; exit 7")...)
	if out.code == 0 || !strings.Contains(out.stderr, "oops") || !strings.Contains(out.stderr, "exit status 7") {
		t.Errorf("exec carries errors and how the command ended, got %d %s", out.code, out.stderr)
	}
}

// checkPortForward speaks with a Pod, which answers what it is told.
func (r *reach) checkPortForward(t *testing.T, user command) {
	t.Helper()
	forward := user.follow(t, "kubectl", r.args("port-forward", r.target, ":8080")...)
	var address string
	for !strings.HasPrefix(address, "127.0.0.1:") {
		line := forward.next(t)
		_, address, _ = strings.Cut(line, "Forwarding from ")
		address, _, _ = strings.Cut(address, " ")
	}
	for i := range 3 { // connections of one after the other, over one tunnel
		c, err := (&net.Dialer{Timeout: propagation}).DialContext(t.Context(), "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.SetDeadline(time.Now().Add(propagation)); err != nil {
			t.Fatal(err)
		}
		said := fmt.Sprintf("hello %d\n", i)
		if _, err := io.WriteString(c, said); err != nil {
			t.Fatal(err)
		}
		heard, err := bufio.NewReader(c).ReadString('\n')
		if err != nil || heard != said {
			t.Errorf("port-forward carries a connection: want %q, got %q, %v", said, heard, err)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// checkLogs follows a log while it grows.
func (r *reach) checkLogs(t *testing.T, user command) {
	t.Helper()
	log := user.follow(t, "kubectl", r.args("logs", "--follow", r.target)...)
	if line := log.next(t); line != "starting" {
		t.Errorf("logs begin with what the pod said first, got %q", line)
	}
	late := "said later by a pod of " + r.member.Name()
	if err := r.member.LogInPods(late); err != nil {
		t.Fatal(err)
	}
	for log.next(t) != late {
	}
}

// checkAttach hears what a Pod says while somebody is attached. kwok's never end, nor does
// an attachment to them, which is why nothing here runs with --rm.
func (r *reach) checkAttach(t *testing.T, user command) {
	t.Helper()
	attached := user.follow(t, "kubectl", r.args("attach", r.target)...)
	eventually(t, propagation, "attach to show what the pod says", func(context.Context) error {
		if err := r.member.LogInPods("said to who is attached to a pod of " + r.member.Name()); err != nil {
			return err
		}
		select {
		case line, open := <-attached.lines:
			if open && strings.Contains(line, r.member.Name()) {
				return nil
			}
			return fmt.Errorf("got %q, %s", line, attached.stderr)
		default:
			return fmt.Errorf("nothing yet: %s", attached.stderr)
		}
	})
}

// checkWatch sees an object appear and go.
func (r *reach) checkWatch(t *testing.T, user command) {
	t.Helper()
	watch := user.follow(t, "kubectl", r.args("get", "configmaps", "--watch", "--output-watch-events")...)
	configs := r.member.memberClient.CoreV1().ConfigMaps(r.namespace)
	awaitLine := func(event string) {
		t.Helper()
		for line := ""; !strings.Contains(line, "seen") || !strings.Contains(line, event); {
			line = watch.next(t)
		}
	}
	if _, err := configs.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "seen"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	awaitLine("ADDED")
	if err := configs.Delete(t.Context(), "seen", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	awaitLine("DELETED")
}

// following is a command that runs until the test ends.
type following struct {
	lines  chan string
	stderr *lockedBuffer
}

// follow starts a command and reads its output line by line.
func (c command) follow(t *testing.T, program string, args ...string) *following {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	cmd := exec.CommandContext(ctx, filepath.Join(bed.bin, program), args...)
	cmd.Env, cmd.Dir = c.environment(), bed.dir
	f := &following{lines: make(chan string, 1000), stderr: &lockedBuffer{}}
	cmd.Stderr = f.stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer close(f.lines)
		for scanner := bufio.NewScanner(stdout); scanner.Scan(); {
			f.lines <- scanner.Text()
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
		_ = cmd.Wait() // killed
	})
	return f
}

// next is the next line.
func (f *following) next(t *testing.T) string {
	t.Helper()
	select {
	case line, open := <-f.lines:
		if !open {
			t.Fatalf("the command ended: %s", f.stderr)
		}
		return line
	case <-time.After(propagation):
		t.Fatalf("nothing within %s: %s", propagation, f.stderr)
		return ""
	}
}
