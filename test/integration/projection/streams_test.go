// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package projection

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/streaming/pkg/httpstream"
	streamspdy "k8s.io/streaming/pkg/httpstream/spdy"

	"fleet.dev/fleet/pkg/apis/wellknown"
	"fleet.dev/fleet/pkg/member/fake"
	"fleet.dev/fleet/test/integration/harness"
)

// podServer is a fake member whose Pods have logs, run commands and listen: cat is
// the only command, and what a port gets it sends back.
type podServer struct {
	*fake.Member

	t *testing.T
}

// ServeHTTP implements http.Handler.
func (s *podServer) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	parts := strings.Split(strings.TrimPrefix(req.URL.Path, "/api/v1/namespaces/default/pods/"), "/")
	if len(parts) != 2 || parts[1] == "status" {
		s.Member.ServeHTTP(w, req)
		return
	}
	if as := req.Header.Get("Impersonate-User"); as != wellknown.UserAPIServer {
		s.t.Errorf("%s is asked as %q, want as the fleet's API server", req.URL.Path, as)
	}
	query := req.URL.Query()
	switch pod, subresource := parts[0], parts[1]; {
	case pod == "refused":
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","message":"a policy of the member says no","code":403}`)
	case subresource == "log":
		for line := range 3 {
			_, _ = fmt.Fprintf(w, "%s/%s tail=%s line %d\n", pod, query.Get("container"), query.Get("tailLines"), line)
			w.(http.Flusher).Flush()
		}
	case subresource == "exec", subresource == "attach":
		s.exec(w, req)
	case subresource == "portforward":
		s.forward(w, req)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

// streams upgrades the connection and hands streams over as they come.
func (s *podServer) streams(w http.ResponseWriter, req *http.Request, protocol string) (httpstream.Connection, <-chan httpstream.Stream) {
	if _, err := httpstream.Handshake(req, w, []string{protocol}); err != nil {
		s.t.Errorf("agree upon a protocol: %v", err)
		return nil, nil
	}
	streams := make(chan httpstream.Stream, 10)
	conn := streamspdy.NewResponseUpgrader().UpgradeResponse(w, req, func(stream httpstream.Stream, _ <-chan struct{}) error {
		streams <- stream
		return nil
	})
	if conn == nil {
		s.t.Error("the connection was not upgraded")
	}
	return conn, streams
}

func (s *podServer) exec(w http.ResponseWriter, req *http.Request) {
	conn, streams := s.streams(w, req, "v4.channel.k8s.io")
	if conn == nil {
		return
	}
	defer conn.Close() //nolint:errcheck // the test is about what came before
	named := map[string]httpstream.Stream{}
	for range 3 { // error, stdin, stdout
		stream := <-streams
		named[stream.Headers().Get(corev1.StreamType)] = stream
	}
	_, _ = fmt.Fprintf(named[corev1.StreamTypeStdout], "%s in %s: ", req.URL.Query()["command"], req.URL.Query().Get("container"))
	_, _ = io.Copy(named[corev1.StreamTypeStdout], named[corev1.StreamTypeStdin])
	_, _ = io.WriteString(named[corev1.StreamTypeError], `{"metadata":{},"status":"Success"}`)
	for _, stream := range named {
		_ = stream.Close()
	}
	select { // until the client is done
	case <-conn.CloseChan():
	case <-time.After(waitLong):
	}
}

func (s *podServer) forward(w http.ResponseWriter, req *http.Request) {
	conn, streams := s.streams(w, req, "portforward.k8s.io")
	if conn == nil {
		return
	}
	defer conn.Close() //nolint:errcheck // the test is about what came before
	for {
		select {
		case stream := <-streams:
			if stream.Headers().Get(corev1.StreamType) == corev1.StreamTypeError {
				_ = stream.Close()
				continue
			}
			go func() {
				_, _ = fmt.Fprintf(stream, "port %s: ", stream.Headers().Get(corev1.PortHeader))
				_, _ = io.Copy(stream, stream)
				_ = stream.Close()
			}()
		case <-conn.CloseChan():
			return
		}
	}
}

func TestStreams(t *testing.T) {
	t.Parallel()
	server := start(t, "")
	member := &podServer{Member: fake.Start(t), t: t}
	member.Put(t, fake.Manifest(t, `{apiVersion: v1, kind: Node, metadata: {name: n1}, status: {addresses: [{type: InternalIP, address: 10.0.0.1}]}}`))
	for _, name := range []string{"web-1", "refused"} {
		member.Put(t, pod(t, name, "n1"))
	}
	proxied := httptest.NewTLSServer(member)
	t.Cleanup(func() {
		proxied.CloseClientConnections()
		proxied.Close()
	})
	joinAt(t, server, "a", member.Member, proxied.URL)
	pods := server.Kube.CoreV1().Pods("default")
	eventually(t, "Pod and Node are there", func(ctx context.Context) bool {
		_, err := pods.Get(ctx, "web-1", metav1.GetOptions{})
		node, errNode := server.Kube.CoreV1().Nodes().Get(ctx, "n1.a", metav1.GetOptions{})
		return err == nil && errNode == nil && len(node.Status.Addresses) == 2
	})

	t.Run("Log", func(t *testing.T) {
		tail := int64(3)
		got, err := pods.GetLogs("web-1", &corev1.PodLogOptions{TailLines: &tail}).DoRaw(t.Context())
		if err != nil || !strings.HasPrefix(string(got), "web-1/web tail=3 line 0\n") || strings.Count(string(got), "\n") != 3 {
			t.Errorf("logs are %q, %v", got, err)
		}
	})
	t.Run("LogRefused", func(t *testing.T) {
		_, err := pods.GetLogs("refused", &corev1.PodLogOptions{}).Stream(t.Context())
		if err == nil || !strings.Contains(err.Error(), `member "a": a policy of the member says no`) {
			t.Errorf("logs the member refuses: %v, want its words and name", err)
		}
	})
	executors := map[string]func(*harness.APIServer, string) (remotecommand.Executor, error){
		"SPDY": func(server *harness.APIServer, pod string) (remotecommand.Executor, error) {
			return remotecommand.NewSPDYExecutor(server.Config, http.MethodPost, execRequest(server, pod))
		},
		"WebSocket": func(server *harness.APIServer, pod string) (remotecommand.Executor, error) {
			return remotecommand.NewWebSocketExecutor(server.Config, http.MethodGet, execRequest(server, pod).String())
		},
	}
	for protocol, executor := range executors {
		t.Run("Exec"+protocol, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), waitLong)
			defer cancel()
			made, err := executor(server, "web-1")
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			err = made.StreamWithContext(ctx, remotecommand.StreamOptions{Stdin: strings.NewReader("hello"), Stdout: &out})
			if err != nil || out.String() != "[cat -] in web: hello" {
				t.Errorf("command said %q, %v", out.String(), err)
			}
		})
		t.Run("ExecRefused"+protocol, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), waitLong)
			defer cancel()
			made, err := executor(server, "refused")
			if err != nil {
				t.Fatal(err)
			}
			err = made.StreamWithContext(ctx, remotecommand.StreamOptions{Stdin: strings.NewReader("hello"), Stdout: &bytes.Buffer{}})
			if err == nil || !strings.Contains(err.Error(), `member "a": a policy of the member says no`) {
				t.Errorf("command the member refuses: %v, want its words and name", err)
			}
		})
	}
	t.Run("PortForward", func(t *testing.T) {
		transport, upgrader, err := spdy.RoundTripperFor(server.Config)
		if err != nil {
			t.Fatal(err)
		}
		at := server.Kube.CoreV1().RESTClient().Post().Namespace("default").Resource("pods").Name("web-1").SubResource("portforward").URL()
		conn, _, err := spdy.NewDialer(upgrader, &http.Client{Transport: transport}, http.MethodPost, at).Dial(portforward.PortForwardProtocolV1Name)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close() //nolint:errcheck // the test is about what came before
		header := http.Header{}
		header.Set(corev1.PortHeader, "8080")
		header.Set(corev1.PortForwardRequestIDHeader, "0")
		header.Set(corev1.StreamType, corev1.StreamTypeError)
		if _, err := conn.CreateStream(header); err != nil {
			t.Fatal(err)
		}
		header.Set(corev1.StreamType, corev1.StreamTypeData)
		data, err := conn.CreateStream(header)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(data, "hello")
		_ = data.Close()
		if got, err := io.ReadAll(data); err != nil || string(got) != "port 8080: hello" {
			t.Errorf("port said %q, %v", got, err)
		}
	})
}

// execRequest runs cat in a Pod.
func execRequest(server *harness.APIServer, pod string) *url.URL {
	return server.Kube.CoreV1().RESTClient().Post().Namespace("default").Resource("pods").Name(pod).SubResource("exec").
		VersionedParams(&corev1.PodExecOptions{Command: []string{"cat", "-"}, Stdin: true, Stdout: true}, scheme.ParameterCodec).URL()
}
