// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/component-base/cli"

	"fleet.dev/fleet/cmd/fleet-apiserver/app"
	"fleet.dev/fleet/test/integration/harness"
)

// asServer in the environment makes the test binary a fleet-apiserver, whose
// flags, exit code and output can be tested without building another program.
const asServer = "FLEET_TEST_AS_APISERVER"

// shared is the server of the tests that need no special one.
var shared *harness.APIServer

func TestMain(m *testing.M) {
	if os.Getenv(asServer) != "" {
		os.Exit(cli.Run(app.NewCommand()))
	}
	os.Exit(harness.Main(m, func(_ context.Context, server *harness.APIServer) error {
		shared = server
		return nil
	}))
}

// A process is a fleet-apiserver that was started.
type process struct {
	cmd    *exec.Cmd
	stderr bytes.Buffer
	ended  chan struct{}
	err    error // once ended
}

func start(t *testing.T, args ...string) *process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: exec.CommandContext(t.Context(), self, args...), ended: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), asServer+"=1")
	p.cmd.Stderr = &p.stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		p.err = p.cmd.Wait()
	}()
	return p
}

// wait returns the exit code.
func (p *process) wait(t *testing.T, timeout time.Duration) int {
	t.Helper()
	select {
	case <-p.ended:
		var exit *exec.ExitError
		if p.err != nil && !errors.As(p.err, &exit) {
			t.Fatal(p.err)
		}
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(timeout):
		p.kill()
		t.Fatalf("the server did not end within %s:\n%s", timeout, p.stderr.String())
		return 0
	}
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.ended
}

// errorLines are the lines that say why it ended.
func (p *process) errorLines() []string {
	var found []string
	for line := range strings.Lines(p.stderr.String()) {
		if strings.HasPrefix(line, "Error: ") || strings.HasPrefix(line, "E") {
			found = append(found, strings.TrimSpace(line))
		}
	}
	return found
}

// TestStartErrors shows that a server that cannot start says why in one line, at
// once, and exits with an error.
func TestStartErrors(t *testing.T) {
	t.Parallel()
	const atOnce = 20 * time.Second // etcd is started and stopped before a port is taken, on a busy machine
	closed := listen(t)
	_ = closed.Close()
	taken := listen(t)
	dir := func(t *testing.T, prepare func(string) error) string {
		t.Helper()
		path := filepath.Join(t.TempDir(), "fleet")
		if prepare != nil {
			if err := prepare(path); err != nil {
				t.Fatal(err)
			}
		}
		return "--data-dir=" + path
	}
	tests := map[string]struct {
		reason  string
		prepare func(path string) error
		args    []string
		want    string
	}{
		"UnknownFlag": {reason: "a typing error", args: []string{"--data-dri=x"}, want: "unknown flag: --data-dri"},
		"BadValue":    {reason: "a value of another type", args: []string{"--etcd-compaction-interval=often"}, want: `invalid argument "often" for "--etcd-compaction-interval" flag`},
		"BadMode":     {reason: "a value that is none of those allowed", args: []string{"--authorization-mode=Nobody"}, want: `authorization-mode \"Nobody\" is not a valid mode`},
		"Argument":    {reason: "it takes flags only", args: []string{"serve"}, want: `unknown command "serve"`},
		"SmallQuota":  {reason: "an etcd of that size holds nothing", args: []string{"--embedded-etcd-quota-backend-bytes=1000"}, want: "--embedded-etcd-quota-backend-bytes must be at least"},
		"OpenDataDir": {
			reason:  "others could read private keys",
			prepare: func(path string) error { return errors.Join(os.Mkdir(path, 0o755), os.Chmod(path, 0o755)) },
			want:    "run: chmod 0700",
		},
		"FileForDataDir": {
			reason:  "the error names the flag",
			prepare: func(path string) error { return os.WriteFile(path, nil, 0o600) },
			want:    "(--data-dir)",
		},
		"PortInUse": {
			reason: "the address is told",
			args:   []string{"--bind-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", port(taken))},
			want:   fmt.Sprintf("listen tcp 127.0.0.1:%d: bind: address already in use", port(taken)),
		},
		"UnreachableEtcd": {
			reason: "it does not wait for what refuses",
			args:   []string{fmt.Sprintf("--etcd-servers=http://127.0.0.1:%d", port(closed))},
			want:   fmt.Sprintf("reach etcd (--etcd-servers) http://127.0.0.1:%d: dial tcp 127.0.0.1:%d: connect: connection refused", port(closed), port(closed)),
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			p := start(t, append([]string{dir(t, tc.prepare)}, tc.args...)...)
			expectExit(t, p, atOnce, tc.want)
		})
	}
}

func expectExit(t *testing.T, p *process, timeout time.Duration, want string) {
	t.Helper()
	if code := p.wait(t, timeout); code != 1 {
		t.Errorf("exit code: want 1, got %d", code)
	}
	if lines := p.errorLines(); len(lines) != 1 || !strings.Contains(lines[0], want) {
		t.Errorf("want one line of error with %q, got %q of\n%s", want, lines, p.stderr.String())
	}
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	return listener
}

func port(listener net.Listener) int { return listener.Addr().(*net.TCPAddr).Port }

// serve runs a server until it is ready and returns the administrator's client
// configuration. The server has to be stopped.
func serve(t *testing.T, dir string, args ...string) (*process, *rest.Config) {
	t.Helper()
	free := listen(t)
	number := port(free)
	_ = free.Close()
	p := start(t, append([]string{"--data-dir=" + dir, "--bind-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", number)}, args...)...)
	var config *rest.Config
	var last error
	poll := func(ctx context.Context) (bool, error) {
		select {
		case <-p.ended:
			return false, errors.New("it ended")
		default:
		}
		config, last = readyConfig(ctx, filepath.Join(dir, "kubeconfigs", "admin.kubeconfig"))
		return last == nil, nil
	}
	if err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, startTimeout, true, poll); err != nil {
		p.kill()
		t.Fatalf("the server is not ready: %v, %v\n%s", err, last, p.stderr.String())
	}
	return p, config
}

// readyConfig returns the client configuration in the file once the server
// behind it is ready.
func readyConfig(ctx context.Context, kubeconfig string) (*rest.Config, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	return config, client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
}

const (
	// startTimeout and stopTimeout bound a start and a stop on a busy machine.
	startTimeout = 90 * time.Second
	stopTimeout  = 30 * time.Second
)

// terminate ends the server as a service manager does.
func (p *process) terminate(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := p.wait(t, stopTimeout); code != 0 {
		t.Errorf("exit code after SIGTERM: want 0, got %d:\n%s", code, p.stderr.String())
	}
}

func configMap(name string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}}
}
