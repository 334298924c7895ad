// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestGroupList(t *testing.T) {
	group := func(name, version string) metav1.APIGroup {
		made := metav1.GroupVersionForDiscovery{GroupVersion: name + "/" + version, Version: version}
		return metav1.APIGroup{Name: name, Versions: []metav1.GroupVersionForDiscovery{made}, PreferredVersion: made}
	}
	cases := map[string]struct {
		reason   string
		code     int
		upstream any
		more     []metav1.APIGroup
		want     []string // preferred versions
	}{
		"None": {
			reason: "Members serve no metrics.", code: http.StatusOK,
			upstream: metav1.APIGroupList{Groups: []metav1.APIGroup{group("apps", "v1")}}, want: []string{"apps/v1"},
		},
		"Metrics": {
			reason: "They come after what the aggregator lists.", code: http.StatusOK,
			upstream: metav1.APIGroupList{Groups: []metav1.APIGroup{group("apps", "v1")}},
			more:     []metav1.APIGroup{group("metrics.k8s.io", "v1beta1")}, want: []string{"apps/v1", "metrics.k8s.io/v1beta1"},
		},
		"OwnServer": {
			reason: "An APIService goes first.", code: http.StatusOK,
			upstream: metav1.APIGroupList{Groups: []metav1.APIGroup{group("metrics.k8s.io", "v2")}},
			more:     []metav1.APIGroup{group("metrics.k8s.io", "v1beta1")}, want: []string{"metrics.k8s.io/v2"},
		},
		"Refused": {
			reason: "What the aggregator refuses is refused.", code: http.StatusInternalServerError, upstream: "it does not know them yet",
			more: []metav1.APIGroup{group("metrics.k8s.io", "v1beta1")},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			list := &groupList{
				aggregator: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
					if req.URL.Path != "/apis/" || req.Header.Get("Accept") != "application/json" {
						t.Errorf("the aggregator is asked for %s as %s", req.URL.Path, req.Header.Get("Accept"))
					}
					if encoding := req.Header.Get("Accept-Encoding"); encoding != "" {
						t.Errorf("the aggregator is asked for an answer in %s, which is read as it is", encoding)
					}
					w.WriteHeader(tc.code)
					if err := json.NewEncoder(w).Encode(tc.upstream); err != nil {
						t.Error(err)
					}
				}),
				more: func() []metav1.APIGroup { return tc.more },
			}
			answer := httptest.NewRecorder()
			request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/apis", http.NoBody)
			request.Header.Set("Accept-Encoding", "gzip")
			list.ServeHTTP(answer, request)
			got := metav1.APIGroupList{}
			_ = json.Unmarshal(answer.Body.Bytes(), &got) // of no list there are no groups
			var versions []string
			for i := range got.Groups {
				versions = append(versions, got.Groups[i].PreferredVersion.GroupVersion)
			}
			if diff := cmp.Diff(tc.want, versions); diff != "" || answer.Code != tc.code {
				t.Errorf("%s\ncode %d, listed (-want +got):\n%s", tc.reason, answer.Code, diff)
			}
		})
	}
}
