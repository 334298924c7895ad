// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package usage

import (
	"net/http"
	"strings"
	"testing"
)

func TestForeignValues(t *testing.T) {
	const at = "custom.metrics.k8s.io/v1beta2"
	about := func(object string) string {
		return valuesOf(`{"describedObject":{` + object + `},"metric":{"name":"hits"},"value":"7"}`)
	}
	for name, tc := range map[string]struct {
		reason string
		path   string
		object string
		shown  bool
	}{
		"Ours":            {reason: "What the fleet has in a member counts.", path: "/namespaces/default/services/web/hits", object: `"kind":"Service","namespace":"default","name":"web"`, shown: true},
		"NoNamespace":     {reason: "Some do not say the namespace they were asked about.", path: "/namespaces/default/services/web/hits", object: `"kind":"Service","name":"web"`, shown: true},
		"Grouped":         {reason: "The group is the one asked for.", path: "/namespaces/default/ingresses.networking.k8s.io/web/hits", object: `"kind":"Ingress","namespace":"default","name":"web"`, shown: true},
		"GroupOfAnswer":   {reason: "Or the one that the member says.", path: "/namespaces/default/ingresses/web/hits", object: `"kind":"Ingress","apiVersion":"networking.k8s.io/v1","namespace":"default","name":"web"`, shown: true},
		"Every":           {reason: "All objects are those of the fleet.", path: "/namespaces/default/services/*/hits", object: `"kind":"Service","namespace":"default","name":"web"`, shown: true},
		"NotOurs":         {reason: "A Service of the member itself is nothing to the fleet.", path: "/namespaces/default/services/*/hits", object: `"kind":"Service","namespace":"default","name":"theirs"`},
		"OtherName":       {reason: "Only what was asked for is told.", path: "/namespaces/default/services/other/hits", object: `"kind":"Service","namespace":"default","name":"web"`},
		"OtherNamespace":  {reason: "Users may see one namespace only.", path: "/namespaces/other/services/web/hits", object: `"kind":"Service","namespace":"default","name":"web"`},
		"PodForService":   {reason: "A Pod is no Service.", path: "/namespaces/default/services/web/hits", object: `"kind":"Pod","namespace":"default","name":"web"`},
		"ServiceForPod":   {reason: "A Service is no Pod.", path: "/namespaces/default/pods/*/hits", object: `"kind":"Service","namespace":"default","name":"web"`},
		"OtherPods":       {reason: "Pods are those of the namespace.", path: "/namespaces/other/pods/*/hits", object: `"kind":"Pod","namespace":"default","name":"web"`},
		"Bare":            {reason: "A Pod that is stored in the fleet is where it is to be.", path: "/namespaces/default/pods/*/hits", object: `"kind":"Pod","namespace":"default","name":"tool"`, shown: true},
		"Moved":           {reason: "It is not where a member says that it is.", path: "/namespaces/default/pods/*/hits", object: `"kind":"Pod","namespace":"default","name":"moved"`},
		"Namespace":       {reason: "A namespace is everybody's.", path: "/namespaces/default/metrics/hits", object: `"kind":"Namespace","name":"default"`, shown: true},
		"NamespaceItself": {reason: "So it is by its own path.", path: "/namespaces/default/status/hits", object: `"kind":"Namespace","name":"default"`, shown: true},
		"OtherNamespaces": {reason: "Of namespaces too there is the one asked for.", path: "/namespaces/default/metrics/hits", object: `"kind":"Namespace","name":"other"`},
		"Unnamed":         {reason: "What has no kind is nothing.", path: "/namespaces/default/services/web/hits", object: `"namespace":"default","name":"web"`},
	} {
		t.Run(name, func(t *testing.T) {
			served := &relay{
				group: customGroup, pods: fakePods{"a/default/web": "web", "bare/default/tool": "tool", "bare/default/moved": "moved"}, templates: fakeTemplates{"a/Service/default/web", "a/Pod/default/tool", "a/Ingress.networking.k8s.io/default/web"},
				fanOut: &fanOut{members: &fakeMembers{
					members: []Member{{Name: "a", Serves: everything()}}, says: map[string]map[string]string{"a": {at + tc.path: about(tc.object)}},
				}},
			}
			recorder, _ := askRelay(t, served, at+tc.path)
			if got := strings.Contains(recorder.Body.String(), `"7"`); recorder.Code != http.StatusOK || got != tc.shown {
				t.Errorf("\n%s\nServeHTTP(...): want a value: %t, got %d: %s", tc.reason, tc.shown, recorder.Code, recorder.Body)
			}
		})
	}
}
