// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package tunnel

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"

	"fleet.dev/fleet/pkg/apiserver"
	"fleet.dev/fleet/test/integration/harness"
)

const auditEverything = `
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
`

func TestAudit(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	policy, log := filepath.Join(dir, "policy.yaml"), filepath.Join(dir, "audit.log")
	if err := os.WriteFile(policy, []byte(auditEverything), 0o600); err != nil {
		t.Fatal(err)
	}
	server := harness.StartAPIServer(t, "", func(o *apiserver.Options) {
		o.Audit.PolicyFile, o.Audit.LogOptions.Path = policy, log
	})
	if err := allowProxy(t.Context(), server); err != nil {
		t.Fatal(err)
	}
	m := startMember(t, "token")
	joinPush(t, server, "paris", m)
	type record struct{ User, Verb, URI string }
	want := map[record]int32{}
	for method, verb := range map[string]string{"GET": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"} {
		response, err := ask(t, ann(server), method, proxyPath("paris", "/echo/pods?dryRun=All"), nil, nil)
		code, body := read(t, response, err)
		want[record{"ann", verb, proxyPath("paris", "/echo/pods?dryRun=All")}] = 200
		if code != 200 {
			t.Errorf("%s: got %d %s", method, code, body)
		}
	}
	response, err := ask(t, as(server, "bob", ""), "DELETE", proxyPath("paris", "/echo/pods"), nil, nil)
	_, _ = read(t, response, err)
	want[record{"bob", "delete", proxyPath("paris", "/echo/pods")}] = 403

	server.Stop() // which writes what it still has
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	got := map[record]int32{}
	for line := range strings.Lines(string(text)) {
		event := auditv1.Event{}
		if err := json.Unmarshal([]byte(line), &event); err != nil {
			t.Fatal(err)
		}
		if ref := event.ObjectRef; ref != nil && ref.Subresource == "proxy" && event.Stage == auditv1.StageResponseComplete {
			got[record{event.ImpersonatedUser.Username, event.Verb, event.RequestURI}] = event.ResponseStatus.Code
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("who did what in which member is in the audit log: -want +got:\n%s", diff)
	}
}
