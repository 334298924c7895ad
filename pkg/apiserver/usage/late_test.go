// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package usage

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestSums(t *testing.T) {
	const (
		object = "custom.metrics.k8s.io/v1beta2/namespaces/default/services/web/hits"
		pods   = "custom.metrics.k8s.io/v1beta2/namespaces/default/pods/*/hits"
		outer  = "external.metrics.k8s.io/v1beta1/namespaces/default/queue"
		none   = "custom.metrics.k8s.io/v1beta2/namespaces/default/services/web/none"
	)
	about := func(kind, name string) string {
		return valuesOf(`{"describedObject":{"kind":"` + kind + `","namespace":"default","name":"` + name + `"},"metric":{"name":"hits"},"value":"1"}`)
	}
	answers := map[string]string{object: about("Service", "web"), pods: about("Pod", "web-1"), outer: valuesOf(`{"metricName":"queue","value":"1"}`)}
	refuses := map[string]string{object: "not you", pods: "not you", outer: "not you"}
	serving := func(b Member) []Member { return []Member{{Name: "a", Serves: everything()}, b} }
	for name, tc := range map[string]struct {
		reason  string
		path    string
		members []Member
		says    map[string]string // what b says
		code    int
	}{
		"Object":          {reason: "What all say is added up.", path: object, members: serving(Member{Name: "b", Serves: everything()}), says: answers, code: http.StatusOK},
		"ObjectRefused":   {reason: "A sum that lacks a member's is none.", path: object, members: serving(Member{Name: "b", Serves: everything()}), says: refuses, code: http.StatusServiceUnavailable},
		"ObjectLate":      {reason: "Nor is one that lacks that of a member that stands still.", path: object, members: serving(Member{Name: "b", Serves: everything()}), says: map[string]string{}, code: http.StatusServiceUnavailable},
		"ExternalRefused": {reason: "External metrics are added up by their readers.", path: outer, members: serving(Member{Name: "b", Serves: everything()}), says: refuses, code: http.StatusServiceUnavailable},
		"ExternalLate":    {reason: "They are told nothing rather than too little.", path: outer, members: serving(Member{Name: "b", Serves: everything()}), says: map[string]string{}, code: http.StatusServiceUnavailable},
		"OneOfMembers":    {reason: "Who selects a member needs no other.", path: outer + "?labelSelector=fleet.dev%2Fcluster%3Da", members: serving(Member{Name: "b", Serves: everything()}), says: refuses, code: http.StatusOK},
		"PodsRefused":     {reason: "Nobody adds up those of Pods.", path: pods, members: serving(Member{Name: "b", Serves: everything()}), says: refuses, code: http.StatusOK},
		"Unready":         {reason: "A member that is away is not counted with.", path: object, members: serving(Member{Name: "b", Serves: everything(), Unready: "no lease"}), says: answers, code: http.StatusOK},
		"Without":         {reason: "Nor is one without metrics.", path: object, members: serving(Member{Name: "b"}), code: http.StatusOK},
		"NotFound":        {reason: "Nor is one that says that it has no such metric.", path: none, members: serving(Member{Name: "b", Serves: everything()}), says: map[string]string{none: notFound}, code: http.StatusOK},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := maps.Clone(answers)
				a[none] = about("Service", "web")
				served := &relay{group: customGroup, pods: fakePods{"a/default/web-1": "web-1"}, templates: haveWeb, fanOut: &fanOut{
					members: &fakeMembers{members: tc.members, says: map[string]map[string]string{"a": a, "b": tc.says}},
				}}
				if strings.HasPrefix(tc.path, externalGroup) {
					served.group = externalGroup
				}
				if recorder, _ := askRelay(t, served, tc.path); recorder.Code != tc.code {
					t.Errorf("\n%s\nServeHTTP(...): want code %d, got %d: %s", tc.reason, tc.code, recorder.Code, recorder.Body)
				}
			})
		})
	}
}

// recordingMembers record which members are asked.
type recordingMembers struct {
	*fakeMembers

	asked chan string
}

// MetricsWay implements Members.
func (r recordingMembers) MetricsWay(ctx context.Context, member string) (Way, error) {
	r.asked <- member
	return r.fakeMembers.MetricsWay(ctx, member)
}

func TestLeftOut(t *testing.T) {
	const path, other = "external.metrics.k8s.io/v1beta1/queue", "custom.metrics.k8s.io/v1beta1/queue"
	both := []Member{{Name: "a", Serves: everything()}, {Name: "b", Serves: everything()}}
	synctest.Test(t, func(t *testing.T) {
		members := recordingMembers{&fakeMembers{members: both, says: map[string]map[string]string{
			"a": {path: valuesOf(""), other: valuesOf("")}, "b": {other: valuesOf("")},
		}}, make(chan string, 2)}
		f := &fanOut{members: members}
		external := question{version: schema.GroupVersion{Group: externalGroup, Version: "v1beta1"}, path: everybody("queue")}
		custom := question{version: schema.GroupVersion{Group: customGroup, Version: "v1beta1"}, path: everybody("queue")}
		for _, step := range []struct {
			reason string
			ask    question
			after  time.Duration
			gone   bool // the client gives up
			asked  []string
			lasts  time.Duration
		}{
			{reason: "That a client does not wait is not the member's fault.", ask: external, gone: true, asked: []string{"a", "b"}, lasts: time.Second},
			{reason: "Who stands still is waited for once.", ask: external, asked: []string{"a", "b"}, lasts: patience},
			{reason: "Then it is left out.", ask: external, asked: []string{"a"}},
			{reason: "What it answers is still asked of it.", ask: custom, asked: []string{"a", "b"}},
			{reason: "It is left out for a while.", ask: external, after: leftOut - time.Second, asked: []string{"a"}},
			{reason: "It is not left out for longer.", ask: external, after: time.Second, asked: []string{"a", "b"}, lasts: patience},
		} {
			time.Sleep(step.after)
			ctx, cancel := context.WithCancel(t.Context())
			if step.gone {
				ctx, cancel = context.WithTimeout(t.Context(), time.Second)
			}
			began := time.Now()
			given, err := ask[valueList](ctx, f, step.ask)
			cancel()
			if err != nil || given[0].member != "a" {
				t.Errorf("%s want the answer of a, got %v, %v", step.reason, given, err)
			}
			if got := time.Since(began); got != step.lasts {
				t.Errorf("%s want it to last %s, got %s", step.reason, step.lasts, got)
			}
			var asked []string
			for range len(members.asked) {
				asked = append(asked, <-members.asked)
			}
			slices.Sort(asked)
			if diff := cmp.Diff(step.asked, asked); diff != "" {
				t.Errorf("%s asked -want, +got:\n%s", step.reason, diff)
			}
		}
	})
}
