// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	// refusal is how soon a server that cannot run must say so and end.
	refusal = 15 * time.Second
	// serverStart is how long a server of a test's own may take.
	serverStart = 90 * time.Second
	// serverStop is how long it may take to end when asked to.
	serverStop = 60 * time.Second
)

// logLine is a line of the server's log that is no error.
var logLine = regexp.MustCompile(`^[IW]\d{4} `)

// TestRefusesToStart starts servers that cannot run. Each says why in one line and
// ends with a status other than 0.
func TestRefusesToStart(t *testing.T) {
	t.Parallel()
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	open := t.TempDir()
	if err := os.Chmod(open, 0o755); err != nil { //nolint:gosec // wrong on purpose
		t.Fatal(err)
	}

	cases := map[string]struct {
		reason string
		args   []string
		want   string
	}{
		"UnknownFlag":     {"a typing error is named", []string{"--no-such-flag"}, "--no-such-flag"},
		"BadValue":        {"a value that is no number is named with its flag", []string{"--secure-port=https"}, "--secure-port"},
		"BadPort":         {"a value out of range is named with its flag", []string{"--secure-port=70000"}, "--secure-port"},
		"UnknownArg":      {"the server takes no arguments", []string{"now"}, "now"},
		"DirIsFile":       {"a data directory cannot be a file", []string{"--data-dir=" + file}, file},
		"DirBelowFile":    {"a data directory that cannot be made is named", []string{"--data-dir=" + file + "/data"}, file},
		"DirOpen":         {"a data directory holds keys", []string{"--data-dir=" + open}, "chmod 0700"},
		"DirInUse":        {"two servers on one directory would destroy it", []string{"--data-dir=" + bed.fleet.DataDir()}, "another fleet server"},
		"PortInUse":       {"a port that is taken is named", []string{"--secure-port=" + portOf(taken)}, portOf(taken)},
		"EtcdUnreachable": {"an etcd that does not answer is named", []string{"--etcd-servers=http://127.0.0.1:" + freePort(t)}, "--etcd-servers"},
		"EtcdNoFile":      {"a certificate that is not there is named", []string{"--etcd-servers=https://127.0.0.1:1", "--etcd-cafile=/no/such/file"}, "/no/such/file"},
		"AuditNoPolicy":   {"a file that is not there is named", []string{"--audit-policy-file=/no/such/file", "--audit-log-path=-"}, "/no/such/file"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			args := append([]string{"--data-dir=" + filepath.Join(t.TempDir(), "fleet"), "--bind-address=127.0.0.1", "--secure-port=" + freePort(t)}, tc.args...)
			server := startServer(t, args...)
			err, ended := server.wait(refusal)
			if !ended {
				t.Fatalf("%s: still running after %s, stderr:\n%s", tc.reason, refusal, server.stderr())
			}
			if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() < 1 {
				t.Errorf("%s: want an exit status other than 0, got %v", tc.reason, err)
			}
			if lines := complaints(server.stderr()); len(lines) != 1 || !strings.Contains(lines[0], tc.want) {
				t.Errorf("%s: want one line with %q on stderr, got %d:\n%s", tc.reason, tc.want, len(lines), server.stderr())
			}
		})
	}
}

// complaints are the lines of stderr other than information.
func complaints(stderr string) []string {
	var out []string
	for line := range strings.Lines(stderr) {
		if line = strings.TrimSpace(line); line != "" && !logLine.MatchString(line) {
			out = append(out, line)
		}
	}
	return out
}

func portOf(l net.Listener) string {
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// freePort is a port that nobody listens on.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return portOf(l)
}

// TestTerminate ends a server with SIGTERM while it is being written to. It ends
// with status 0, and what it acknowledged is there after the next start.
func TestTerminate(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "fleet")
	args := []string{"--data-dir=" + dir, "--bind-address=127.0.0.1", "--secure-port=" + freePort(t)}
	server := startServer(t, args...)
	kube := server.ready(t, dir)

	var acknowledged []string
	written := make(chan struct{})
	enough := make(chan struct{})
	go func() {
		defer close(written)
		for i := range 100_000 {
			name := "c" + strconv.Itoa(i)
			_, err := kube.CoreV1().ConfigMaps("default").Create(context.WithoutCancel(t.Context()),
				&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
			if err != nil {
				return
			}
			acknowledged = append(acknowledged, name)
			if i == 20 {
				close(enough)
			}
		}
	}()
	select {
	case <-enough:
	case <-written:
		t.Fatalf("only %d writes succeeded before the server was asked to end", len(acknowledged))
	}
	server.signal(t, syscall.SIGTERM)
	if err, ended := server.wait(serverStop); err != nil || !ended {
		t.Fatalf("end of a server after SIGTERM: want status 0 within %s, got %v (ended %t), stderr:\n%s", serverStop, err, ended, server.stderr())
	}
	<-written

	second := startServer(t, args...)
	kube = second.ready(t, dir)
	list, err := kube.CoreV1().ConfigMaps("default").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	kept := map[string]bool{}
	for _, c := range list.Items {
		kept[c.Name] = true
	}
	for _, name := range acknowledged {
		if !kept[name] {
			t.Errorf("configmap %s of %d acknowledged ones is lost", name, len(acknowledged))
		}
	}
	second.signal(t, syscall.SIGTERM)
	if err, ended := second.wait(serverStop); err != nil || !ended {
		t.Errorf("end of the second server: want status 0, got %v (ended %t)", err, ended)
	}
}

// server is a "fleet server" of a test's own.
type server struct {
	process *os.Process
	done    chan struct{}
	err     error // valid once done is closed
	output  *lockedBuffer
}

// startServer starts a server that dies with the test.
func startServer(t *testing.T, args ...string) *server {
	t.Helper()
	s := &server{done: make(chan struct{}), output: &lockedBuffer{}}
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), filepath.Join(bed.bin, "fleet"), append([]string{"server"}, args...)...)
	cmd.Env = asAdmin().environment()
	cmd.Dir = t.TempDir()
	cmd.Stderr = s.output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.process = cmd.Process
	go func() {
		s.err = cmd.Wait()
		close(s.done)
	}()
	t.Cleanup(func() {
		select {
		case <-s.done:
		default:
			_ = s.process.Kill()
			<-s.done
		}
	})
	return s
}

// wait waits for the end of the server.
func (s *server) wait(within time.Duration) (err error, ended bool) {
	select {
	case <-s.done:
		return s.err, true
	case <-time.After(within):
		return nil, false
	}
}

func (s *server) signal(t *testing.T, sig os.Signal) {
	t.Helper()
	if err := s.process.Signal(sig); err != nil {
		t.Fatal(err)
	}
}

func (s *server) stderr() string { return s.output.String() }

// ready waits until the server is ready and returns a client of its administrator.
func (s *server) ready(t *testing.T, dir string) kubernetes.Interface {
	t.Helper()
	var kube kubernetes.Interface
	eventually(t, serverStart, "the server to be ready", func(ctx context.Context) error {
		select {
		case <-s.done:
			t.Fatalf("the server ended: %v\n%s", s.err, s.stderr())
		default:
		}
		config, err := clientcmd.BuildConfigFromFlags("", filepath.Join(dir, "kubeconfigs", "admin.kubeconfig"))
		if err != nil {
			return err
		}
		config.QPS = -1
		if kube, err = kubernetes.NewForConfig(config); err != nil {
			return err
		}
		return kube.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
	})
	return kube
}

// lockedBuffer takes a process's output while others read it.
type lockedBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

// Write adds to the buffer.
func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

// String is everything written so far.
func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}

// TestFirstStartProtectsKeys looks at the modes of what a server keeps.
func TestFirstStartProtectsKeys(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]os.FileMode{
		"": 0o700, "etcd": 0o700, "pki": 0o700, "kubeconfigs": 0o700,
		"pki/ca.key": 0o600, "pki/sa.key": 0o600, "kubeconfigs/admin.kubeconfig": 0o600,
	} {
		info, err := os.Stat(filepath.Join(bed.fleet.DataDir(), path))
		if err != nil {
			t.Error(err)
			continue
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("mode of %q in the data directory: want %s, got %s", path, fmt.Sprintf("%04o", want), fmt.Sprintf("%04o", got))
		}
	}
}
