// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestInterpret(t *testing.T) {
	file := func(name string) string { return filepath.Join("testdata", "interpret", name) }
	cases := map[string]struct {
		reason string
		args   []string
		golden string
		err    string
	}{
		"Alone": {
			reason: "An object is taken for its own in a member; what nothing interprets has no answers.",
			args:   []string{"-f", file("customization.yaml"), "-f", file("objects.yaml"), "--replicas", "5"},
			golden: "interpret.yaml",
		},
		"Members": {
			reason: "Members report what they have, read by the customization.",
			args:   []string{"-f", file("objects.yaml"), "-f", file("customization.yaml"), "--observed", "rome=" + file("rome.yaml"), "--observed", "paris=" + file("paris.yaml")},
			golden: "interpret-members.yaml",
		},
		"Failing": {
			reason: "What fails is printed where it fails, and the command fails.",
			args:   []string{"-f", file("failing.yaml"), "-f", file("objects.yaml")},
			golden: "interpret-failing.yaml",
			err:    "error: 2 of the expressions failed\n",
		},
		"Refused": {
			reason: "The server would not take it.",
			args:   []string{"-f", file("bad.yaml"), "-f", file("objects.yaml")},
			golden: "empty.txt",
			err:    `error: read testdata/interpret/bad.yaml, document 1: customization "bad": spec.customizations.healthInterpretation.expression: Invalid value: "Object{}": must return bool, not Object` + "\n",
		},
		"Nothing": {
			reason: "There is nothing to ask about.",
			args:   []string{"-f", file("customization.yaml")},
			golden: "empty.txt", err: "error: the files have no object to interpret\n",
		},
		"NoFile": {
			reason: "A file that is not there is said so.",
			args:   []string{"-f", file("none.yaml")},
			golden: "empty.txt", err: "error: open testdata/interpret/none.yaml: no such file or directory\n",
		},
		"NoMember": {
			reason: "Objects in a member have one.",
			args:   []string{"-f", file("objects.yaml"), "--observed", file("rome.yaml")},
			golden: "empty.txt", err: `error: read --observed "testdata/interpret/rome.yaml": it is not MEMBER=FILE` + "\n",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			out, errOut := runCommand(t, "fleet", append([]string{"interpret"}, tc.args...)...)
			if errOut != tc.err {
				t.Errorf("\n%s\nwant %q, got %q", tc.reason, tc.err, errOut)
			}
			if tc.golden != "empty.txt" {
				golden(t, tc.reason, tc.golden, out)
			} else if strings.TrimSpace(out) != "" {
				t.Errorf("\n%s\nwant no output, got %q", tc.reason, out)
			}
		})
	}
}
