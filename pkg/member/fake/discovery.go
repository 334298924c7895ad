// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package fake

import (
	"net/http"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// serveDiscovery answers requests for what is served, in the old form, one
// request per version. It returns false for other requests.
func (m *Member) serveDiscovery(w http.ResponseWriter, r *http.Request) bool {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	m.mu.Lock()
	kinds, undiscovered := slices.Clone(m.kinds), m.undiscovered
	m.mu.Unlock()
	switch {
	case !undiscovered.Empty() && r.URL.Path == "/apis/"+undiscovered.String():
		answerError(w, apierrors.NewServiceUnavailable("the API server behind it is down"))
	case r.URL.Path == "/api":
		answer(w, http.StatusOK, metav1.APIVersions{TypeMeta: metav1.TypeMeta{Kind: "APIVersions"}, Versions: []string{"v1"}})
	case r.URL.Path == "/apis":
		answer(w, http.StatusOK, groupList(kinds))
	case len(parts) == 2 && parts[0] == "api":
		answer(w, http.StatusOK, resourceList(kinds, schema.GroupVersion{Version: parts[1]}))
	case len(parts) == 3 && parts[0] == "apis":
		answer(w, http.StatusOK, resourceList(kinds, schema.GroupVersion{Group: parts[1], Version: parts[2]}))
	default:
		return false
	}
	return true
}

// storedVerbs are those of every kind.
var storedVerbs = metav1.Verbs{"create", "delete", "get", "list", "patch", "update", "watch"}

func groupList(kinds []Kind) metav1.APIGroupList {
	list := metav1.APIGroupList{TypeMeta: metav1.TypeMeta{Kind: "APIGroupList", APIVersion: "v1"}}
	seen := map[schema.GroupVersion]bool{}
	for _, kind := range kinds {
		gv := kind.GroupVersion()
		if gv.Group == "" || seen[gv] {
			continue
		}
		seen[gv] = true
		version := metav1.GroupVersionForDiscovery{GroupVersion: gv.String(), Version: gv.Version}
		list.Groups = append(list.Groups, metav1.APIGroup{
			Name: gv.Group, Versions: []metav1.GroupVersionForDiscovery{version}, PreferredVersion: version,
		})
	}
	return list
}

func resourceList(kinds []Kind, gv schema.GroupVersion) metav1.APIResourceList {
	list := metav1.APIResourceList{TypeMeta: metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"}, GroupVersion: gv.String()}
	for _, kind := range kinds {
		if kind.GroupVersion() == gv {
			list.APIResources = append(list.APIResources,
				metav1.APIResource{Name: kind.Resource, Kind: kind.Kind, Namespaced: kind.Namespaced, Verbs: storedVerbs},
				metav1.APIResource{Name: kind.Resource + "/status", Kind: kind.Kind, Namespaced: kind.Namespaced})
		}
	}
	return list
}
