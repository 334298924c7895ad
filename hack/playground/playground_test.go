// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fleet.dev/fleet/test/testbed"
)

func TestParse(t *testing.T) {
	cases := map[string]struct {
		reason  string
		args    []string
		command string
		want    options
		wantErr string
	}{
		"Up": {
			reason:  "directories default to the repository's, the fleet is on",
			args:    []string{"up"},
			command: "up",
			want:    options{repo: "/r", dir: "/r/_run", bin: "/r/_bin", fleet: true},
		},
		"UpWithAll": {
			reason:  "flags override the defaults",
			args:    []string{"up", "--dir=/d", "--bin", "/b", "--members=3", "--nodes=4", "--pull=1", "--fleet=false"},
			command: "up",
			want:    options{repo: "/r", dir: "/d", bin: "/b", members: 3, nodes: 4, pull: 1},
		},
		"Down":           {reason: "down needs no more than a directory", args: []string{"down", "-dir=/d"}, command: "down", want: options{repo: "/r", dir: "/d", bin: "/r/_bin"}},
		"Nothing":        {reason: "a command must be given", wantErr: "say what to do"},
		"UnknownCommand": {reason: "a typo is not ignored", args: []string{"start"}, wantErr: "say what to do"},
		"Positional":     {reason: "a word that means nothing is refused", args: []string{"down", "now"}, wantErr: `"now" is not a flag`},
		"Negative":       {reason: "a number of members is not negative", args: []string{"up", "--members=-1"}, wantErr: "negative"},
		"ForeignFlag":    {reason: "down takes no number of members", args: []string{"down", "--members=1"}, wantErr: "not defined"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			command, got, err := parse(tc.args, "/r", io.Discard)
			if tc.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tc.wantErr) {
					t.Errorf("%s: got error %v, want %q", tc.reason, err, tc.wantErr)
				}
				return
			}
			if err != nil || command != tc.command {
				t.Fatalf("%s: got %q, %v", tc.reason, command, err)
			}
			if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(options{})); diff != "" {
				t.Errorf("%s: -want +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestMemberConfigs(t *testing.T) {
	cases := map[string]struct {
		reason string
		had    []testbed.MemberConfig
		asked  options
		want   []string
	}{
		"First":     {"a new playground has two members", nil, options{}, []string{"member1", "member2"}},
		"Asked":     {"a number is taken as it is", nil, options{members: 3}, []string{"member1", "member2", "member3"}},
		"Again":     {"without a number what is there stays", []testbed.MemberConfig{{Name: "member1"}}, options{}, []string{"member1"}},
		"Grow":      {"more members are added", []testbed.MemberConfig{{Name: "member1"}}, options{members: 2}, []string{"member1", "member2"}},
		"NotShrunk": {"a smaller number takes nobody away", []testbed.MemberConfig{{Name: "member1"}, {Name: "member2"}}, options{members: 1}, []string{"member1", "member2"}},
		"Pull":      {"the last ones can only dial out", nil, options{pull: 1}, []string{"member1", "member2 dials out"}},
		"GrowPull":  {"a member that is there keeps its way", []testbed.MemberConfig{{Name: "member1"}}, options{members: 2, pull: 2}, []string{"member1", "member2 dials out"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, c := range memberConfigs(tc.had, tc.asked) {
				if c.DialsOut {
					c.Name += " dials out"
				}
				got = append(got, c.Name)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s: -want +got:\n%s", tc.reason, diff)
			}
		})
	}
}
