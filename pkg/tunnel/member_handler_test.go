// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"bufio"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/rest"
)

// serveMember returns the server that forwards to a member, and what the member
// was asked.
func serveMember(t *testing.T, member http.HandlerFunc) *httptest.Server {
	t.Helper()
	upstream := httptest.NewUnstartedServer(member)
	upstream.EnableHTTP2 = true
	upstream.StartTLS()
	t.Cleanup(upstream.Close)
	handler, err := NewMemberHandler(&rest.Config{
		Host: upstream.URL + "/prefix", BearerToken: "of-the-agent",
		TLSClientConfig: rest.TLSClientConfig{CAData: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: upstream.Certificate().Raw})},
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server
}

func newRequest(t *testing.T, method, url string, header map[string]string) *http.Request {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range header {
		request.Header.Set(name, value)
	}
	return request
}

func TestMemberHandler(t *testing.T) {
	server := serveMember(t, func(w http.ResponseWriter, req *http.Request) {
		_, _ = fmt.Fprintf(w, "%s %s HTTP/%d auth=%q user=%q for=%q", req.Method, req.URL, req.ProtoMajor,
			req.Header.Get("Authorization"), req.Header.Get("Impersonate-User"), req.Header.Get("X-Forwarded-For"))
	})
	tests := map[string]struct {
		reason string
		method string
		header map[string]string
		status int
		want   string
	}{
		"AsUser": {
			reason: "the member decides by its own rules what the user may do",
			method: http.MethodPatch,
			header: map[string]string{"Impersonate-User": "ann"},
			status: http.StatusOK,
			want:   `PATCH /prefix/api/v1/a%2Fb?x=1&x=2 HTTP/2 auth="Bearer of-the-agent" user="ann" for=""`,
		},
		"ForeignCredentials": {
			reason: "credentials are the agent's, whatever comes in",
			method: http.MethodGet,
			header: map[string]string{"Impersonate-User": "ann", "Authorization": "Bearer other", "X-Forwarded-For": "192.0.2.1"},
			status: http.StatusOK,
			want:   `GET /prefix/api/v1/a%2Fb?x=1&x=2 HTTP/2 auth="Bearer of-the-agent" user="ann" for="192.0.2.1"`,
		},
		"NoUser": {
			reason: "the fleet never acts with the rights of the agent",
			method: http.MethodGet,
			header: map[string]string{"Impersonate-Group": "system:masters"},
			status: http.StatusForbidden,
			want:   "impersonate a user only",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			response, err := http.DefaultClient.Do(newRequest(t, tc.method, server.URL+"/api/v1/a%2Fb?x=1&x=2", tc.header))
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close() //nolint:errcheck // only read
			body, err := io.ReadAll(response.Body)
			if response.StatusCode != tc.status || !strings.Contains(string(body), tc.want) || err != nil {
				t.Errorf("%s: want %d %s, got %d %s, %v", tc.reason, tc.status, tc.want, response.StatusCode, body, err)
			}
		})
	}
}

func TestMemberHandlerStreams(t *testing.T) {
	next := make(chan struct{})
	server := serveMember(t, func(w http.ResponseWriter, _ *http.Request) {
		for i := range 2 {
			_, _ = fmt.Fprintln(w, i)
			w.(http.Flusher).Flush()
			<-next
		}
	})
	response, err := http.DefaultClient.Do(newRequest(t, http.MethodGet, server.URL+"/watch", map[string]string{"Impersonate-User": "ann"}))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close() //nolint:errcheck // only read
	lines := bufio.NewReader(response.Body)
	for i := range 2 {
		line, err := lines.ReadString('\n')
		if diff := cmp.Diff(fmt.Sprintln(i), line); diff != "" || err != nil {
			t.Fatalf("events come as they happen: %v -want +got:\n%s", err, diff)
		}
		next <- struct{}{}
	}
}

func TestMemberHandlerUpgrades(t *testing.T) {
	server := serveMember(t, func(w http.ResponseWriter, req *http.Request) {
		conn, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Errorf("hijack: %v", err)
			return
		}
		defer conn.Close() //nolint:errcheck // done
		_, _ = fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", req.Header.Get("Upgrade"))
		_, _ = io.Copy(conn, buffered)
	})
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // done
	request := newRequest(t, http.MethodPost, server.URL+"/exec", map[string]string{"Impersonate-User": "ann", "Connection": "Upgrade", "Upgrade": "SPDY/3.1"})
	if err := request.Write(conn); err != nil {
		t.Fatal(err)
	}
	reader := bufio.NewReader(conn)
	response, err := http.ReadResponse(reader, request)
	if err != nil || response.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("upgrades pass: got %v, %v", response, err)
	}
	_ = response.Body.Close()
	if _, err := conn.Write([]byte("hello\n")); err != nil {
		t.Fatal(err)
	}
	if line, err := reader.ReadString('\n'); line != "hello\n" || err != nil {
		t.Errorf("and go both ways: got %q, %v", line, err)
	}
}

func TestMemberHandlerWithoutMember(t *testing.T) {
	handler, err := NewMemberHandler(&rest.Config{Host: "http://127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, newRequest(t, http.MethodGet, "http://member/api", map[string]string{"Impersonate-User": "ann"}))
	if recorder.Code != http.StatusServiceUnavailable || !strings.Contains(recorder.Body.String(), `"kind":"Status"`) {
		t.Errorf("clients understand that the member is down: got %d %s", recorder.Code, recorder.Body)
	}
}
