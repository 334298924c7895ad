// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	gorilla "github.com/gorilla/websocket"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/client-go/transport/websocket"
)

// modes join a member in Push and in Pull mode.
var modes = map[string]func(*testing.T) (name string, m *member){
	"push": func(t *testing.T) (string, *member) {
		t.Helper()
		name, m := newMember(t)
		joinPush(t, fleet, name, m)
		return name, m
	},
	"pull": func(t *testing.T) (string, *member) {
		t.Helper()
		name, m := newMember(t)
		joinPull(t, fleet, name, true)
		startAgent(t, fleet, name, m)
		return name, m
	},
}

// newMember is named after the test.
func newMember(t *testing.T) (name string, m *member) {
	t.Helper()
	name = strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(t.Name(), "Test"), "/", "-"))
	return name, startMember(t, "token-of-"+name)
}

func TestRequestsArriveAsTheUser(t *testing.T) {
	for mode, join := range modes {
		t.Run(mode, func(t *testing.T) {
			name, m := join(t)
			for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
				header := map[string]string{"X-Remote-User": "root", "X-Custom": "kept"}
				response, err := ask(t, ann(fleet), method, proxyPath(name, "/echo/a%2Fb/?dryRun=All&path=x&x=1&x=2"), strings.NewReader("body"), header)
				code, body := read(t, response, err)
				if code != http.StatusOK {
					t.Fatalf("%s: want the member's answer, got %d %s", method, code, body)
				}
				got := seen{}
				if err := json.Unmarshal([]byte(body), &got); err != nil {
					t.Fatal(err)
				}
				header = map[string]string{}
				for _, name := range []string{"Authorization", "Impersonate-User", "Impersonate-Uid", "X-Remote-User", "X-Custom"} {
					header[name] = got.Header.Get(name)
				}
				if diff := cmp.Diff(map[string]string{
					"Authorization": "Bearer " + m.token, "Impersonate-User": "ann", "Impersonate-Uid": "uid-of-ann", "X-Remote-User": "", "X-Custom": "kept",
				}, header); diff != "" {
					t.Errorf("%s: the request comes from the user and from nobody else: -want +got:\n%s", method, diff)
				}
				if diff := cmp.Diff([]string{"devs", "team/a b", "system:authenticated"}, got.Header["Impersonate-Group"]); diff != "" {
					t.Errorf("%s: with all groups: -want +got:\n%s", method, diff)
				}
				if diff := cmp.Diff([]string{"one", "two"}, got.Header["Impersonate-Extra-Example.com%2fscopes"]); diff != "" {
					t.Errorf("%s: with all that is known of the user: -want +got:\n%s\n%v", method, diff, got.Header)
				}
				if diff := cmp.Diff(seen{Method: method, URI: "/echo/a%2Fb/?dryRun=All&path=x&x=1&x=2", Body: "body"}, seen{got.Method, got.URI, got.Body, nil}); diff != "" {
					t.Errorf("%s: what is asked is not changed: -want +got:\n%s", method, diff)
				}
				if ids := response.Header["Audit-Id"]; len(ids) != 1 {
					t.Errorf("%s: the audit log of the fleet has the request: got ids %q", method, ids)
				}
			}
		})
	}
}

func TestMemberDecides(t *testing.T) {
	for mode, join := range modes {
		t.Run(mode, func(t *testing.T) {
			name, _ := join(t)
			response, err := ask(t, ann(fleet), "GET", proxyPath(name, "/denied"), nil, nil)
			if code, body := read(t, response, err); code != http.StatusForbidden || body != "no" {
				t.Errorf("the member's answer is passed on: got %d %s", code, body)
			}
		})
	}
}

func TestLargeBodies(t *testing.T) {
	for mode, join := range modes {
		t.Run(mode, func(t *testing.T) {
			name, _ := join(t)
			response, err := ask(t, ann(fleet), "POST", proxyPath(name, "/drain"), io.LimitReader(repeated{}, largeBody), nil)
			if code, body := read(t, response, err); code != http.StatusOK || body != fmt.Sprint(largeBody) {
				t.Errorf("nothing of what is sent is lost: got %d %s", code, body)
			}
			response, err = ask(t, ann(fleet), "GET", proxyPath(name, "/large"), nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close() //nolint:errcheck // only read
			if n, err := io.Copy(io.Discard, response.Body); n != largeBody || err != nil {
				t.Errorf("nothing of what is received is lost: got %d bytes, %v", n, err)
			}
		})
	}
}

// repeated is an endless body.
type repeated struct{}

func (repeated) Read(p []byte) (int, error) { return len(p), nil }

func TestWatchEndsWithItsClient(t *testing.T) {
	for mode, join := range modes {
		t.Run(mode, func(t *testing.T) {
			name, m := join(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			transport, err := rest.TransportFor(ann(fleet))
			if err != nil {
				t.Fatal(err)
			}
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, fleet.Config.Host+proxyPath(name, "/watch?watch=1&test="+name), nil)
			if err != nil {
				t.Fatal(err)
			}
			response, err := transport.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close() //nolint:errcheck // only read
			event, err := bufio.NewReader(response.Body).ReadString('\n')
			if diff := cmp.Diff("{\"type\":\"ADDED\"}\n", event); diff != "" || err != nil {
				t.Errorf("events come as they happen: %v -want +got:\n%s", err, diff)
			}
			cancel()
			eventually(t, "the member's request ends with its client", func() bool { return m.wasEnded(name) })
		})
	}
}

func TestSPDY(t *testing.T) {
	for mode, join := range modes {
		t.Run(mode, func(t *testing.T) {
			name, _ := join(t)
			config := ann(fleet)
			transport, upgrader, err := spdy.RoundTripperFor(config)
			if err != nil {
				t.Fatal(err)
			}
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, config.Host+proxyPath(name, "/spdy"), nil)
			if err != nil {
				t.Fatal(err)
			}
			conn, _, err := spdy.Negotiate(upgrader, &http.Client{Transport: transport}, req)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close() //nolint:errcheck // done
			for i := range 3 {
				stream, err := conn.CreateStream(http.Header{})
				if err != nil {
					t.Fatal(err)
				}
				sent := bytes.Repeat([]byte{byte(i)}, 1<<20)
				go func() {
					_, _ = stream.Write(sent)
					_ = stream.Close()
				}()
				if got, err := io.ReadAll(stream); !bytes.Equal(sent, got) || err != nil {
					t.Errorf("both directions of stream %d work: want %d bytes, got %d, %v", i, len(sent), len(got), err)
				}
			}
		})
	}
}

func TestWebSockets(t *testing.T) {
	for mode, join := range modes {
		t.Run(mode, func(t *testing.T) {
			name, _ := join(t)
			config := ann(fleet)
			transport, holder, err := websocket.RoundTripperFor(config)
			if err != nil {
				t.Fatal(err)
			}
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, config.Host+proxyPath(name, "/websocket"), nil)
			if err != nil {
				t.Fatal(err)
			}
			conn, err := websocket.Negotiate(transport, holder, req, "echo")
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close() //nolint:errcheck // done
			for _, message := range []string{"hello", strings.Repeat("x", 1<<20)} {
				if err := conn.WriteMessage(gorilla.BinaryMessage, []byte(message)); err != nil {
					t.Fatal(err)
				}
				if _, got, err := conn.ReadMessage(); string(got) != message || err != nil {
					t.Errorf("both directions work: want %d bytes, got %d, %v", len(message), len(got), err)
				}
			}
		})
	}
}
