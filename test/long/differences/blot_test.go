// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package differences

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// random are the letters of hashes and names that Kubernetes makes up.
const random = `[bcdfghjklmnpqrstvwxz2456789]`

// blots hide what differs between any two clusters, in this order.
var blots = []struct {
	pattern *regexp.Regexp
	with    string
}{
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`), "<time>"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \+0000 UTC`), "<time>"},
	{regexp.MustCompile(`[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d [+-]\d{4}`), "<time>"},
	{regexp.MustCompile(`[IWE]\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ `), "<log> "},
	{regexp.MustCompile(`[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}`), "<uid>"},
	{regexp.MustCompile(`X509SHA256=[0-9a-f]+`), "X509SHA256=<sum>"},
	{regexp.MustCompile(`([rR]esource ?Version"?: +)"?\d+"?`), "$1<version>"},
	{regexp.MustCompile(`(\S[ \t]+)fleet-admin\b`), "${1}admin"},
	{regexp.MustCompile(`([pP]ort"?: +)\d{5}\b`), "$1<port>"},
	{regexp.MustCompile(`https://(127\.0\.0\.1|localhost):\d+`), "<server>"},
	{regexp.MustCompile(`\b(\d{1,3}\.){3}\d{1,3}\b`), "<ip>"},
	{regexp.MustCompile(`\bnode-\d\b`), "<node>"},
	{regexp.MustCompile(`(-|-hash[=:] ?"?)` + random + `{8,10}(-` + random + `{5})?\b`), "$1<hash>"},
	{regexp.MustCompile(`([a-z0-9>])-` + random + `{5}\b`), "$1-<id>"},
	{regexp.MustCompile(`\b(\d+d)?(\d+h)?(\d+m)?\d+[smhd] \(x\d+ over [0-9smhd]+\)`), "<age>"},
	{regexp.MustCompile(`(^|\s)(\d+d)?(\d+h)?(\d+m)?\d+[smhd](\s|$)`), "$1<age>$5"},
	{regexp.MustCompile(`\b3[0-2]\d{3}\b`), "<port>"},
	{regexp.MustCompile(`(\S)[ \t]{2,}`), "$1 "},
	{regexp.MustCompile(`(?m)[ \t]+$`), ""},
	{regexp.MustCompile(`(?m)^ {10,}`), "          "}, // where describe aligns values
	{regexp.MustCompile(`@@ -\d+,\d+ \+\d+,\d+ @@`), "@@"},
	// Which volume was not there at the first try, and whose repair came across what, is chance.
	{regexp.MustCompile(`(?m)^ *(Warning|Normal) (ExternalProvisioning|FailedScheduling|ProvisioningFailed|ClaimLost|ClusterIPNotAllocated) .*\n`), ""},
	{regexp.MustCompile(`Events:\n *Type Reason Age From Message\n *---- ------ ---- ---- -------\n\z`), "Events: <none>\n"},
}

// blot hides what differs between any two clusters.
func blot(text string) string {
	for _, b := range blots {
		text = b.pattern.ReplaceAllString(text, b.with)
	}
	return text
}

// sorted is text with its lines in order.
func sorted(text string) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func TestBlot(t *testing.T) {
	cases := map[string]struct {
		reason     string
		text, want string
	}{
		"Pods": {
			"the pods of a deployment have a hash and an id, an age, an address and a node",
			"web-6d4b75cb6d-x2vzz   1/1     Running   0          2m10s   10.101.0.3   node-0.member1\n",
			"web-<hash> 1/1 Running 0 <age> <ip> <node>.member1\n",
		},
		"Restarts": {"events count themselves", "Normal  Pulled  2s (x3 over 10s)  kubelet  x", "Normal Pulled <age> kubelet x"},
		"YAML": {
			"indentation is kept",
			"metadata:\n  uid: 0f8f1de4-27d6-4a4c-9a0c-0f5d8ef0d1a5\n  resourceVersion: \"12\"\n  creationTimestamp: \"2026-01-02T03:04:05Z\"\n",
			"metadata:\n  uid: <uid>\n  resourceVersion: <version>\n  creationTimestamp: \"<time>\"\n",
		},
		"Words":  {"words are no hashes", "deployment.apps/web-frontend restarted", "deployment.apps/web-frontend restarted"},
		"Label":  {"a hash may be the value of a label", "pod-template-hash=6d4b75cb6d", "pod-template-hash=<hash>"},
		"Counts": {"counts are kept", "web   3/3     3            3           5s", "web 3/3 3 3 <age>"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, blot(tc.text)); diff != "" {
				t.Errorf("%s: -want +got:\n%s", tc.reason, diff)
			}
		})
	}
}
