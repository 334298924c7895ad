// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package usage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	apidiscoveryv2 "k8s.io/api/apidiscovery/v2"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/warning"
	"k8s.io/metrics/pkg/apis/metrics"

	"fleet.dev/fleet/pkg/apis/wellknown"
)

// fakeMembers answer from a table of request URIs, or not at all.
type fakeMembers struct {
	members []Member
	changed chan struct{}
	// says is what a member answers, by name and URI; a text that is no JSON is a refusal.
	says map[string]map[string]string
}

// MetricsMembers implements Members.
func (f *fakeMembers) MetricsMembers() ([]Member, <-chan struct{}) { return f.members, f.changed }

// MetricsWay implements Members.
func (f *fakeMembers) MetricsWay(_ context.Context, member string) (Way, error) {
	says, ok := f.says[member]
	if !ok {
		return Way{}, errors.New("there is no way")
	}
	return Way{URL: &url.URL{Scheme: "http", Host: member, Path: "/base"}, Transport: roundTrip(func(req *http.Request) (*http.Response, error) {
		said, ok := says[strings.TrimPrefix(req.URL.RequestURI(), "/base/apis/")]
		switch {
		case !ok:
			<-req.Context().Done() // it stands still
			return nil, req.Context().Err()
		case said == notFound:
			return response(http.StatusNotFound, `{"kind":"Status","status":"Failure","code":404,"reason":"NotFound","message":"there is none"}`), nil
		case !strings.HasPrefix(said, "{"):
			return response(http.StatusForbidden, fmt.Sprintf(`{"kind":"Status","status":"Failure","code":403,"reason":"Forbidden","message":%q}`, said)), nil
		}
		return response(http.StatusOK, said), nil
	})}, nil
}

// notFound is said of what there is not.
const notFound = "not found"

func response(code int, body string) *http.Response {
	return &http.Response{StatusCode: code, Body: io.NopCloser(strings.NewReader(body))}
}

type roundTrip func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (f roundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// fakePods are shown under names by member and namespace/name there; "bare" is the
// member of those that are stored.
type fakePods map[string]string

// Need implements Pods.
func (fakePods) Need(context.Context) {}

// Shown implements Pods.
func (f fakePods) Shown(member string, pod types.NamespacedName, bare bool) (metav1.Object, bool) {
	if bare {
		member = "bare"
	}
	name, ok := f[member+"/"+pod.String()]
	return &metav1.ObjectMeta{Namespace: pod.Namespace, Name: name, Labels: map[string]string{"app": "web", wellknown.LabelCluster: member}}, ok
}

// Find implements Pods.
func (f fakePods) Find(namespace, name string) (member, inMember string, ok bool) {
	for key, shown := range f {
		member, in, _ := strings.Cut(key, "/")
		if of, inMember, _ := strings.Cut(in, "/"); shown == name && of == namespace && member != "bare" {
			return member, inMember, true
		}
	}
	return "", "", false
}

// fakeTemplates are what members have, member/kind.group/namespace/name.
type fakeTemplates []string

// Template implements projection.Templates.
func (f fakeTemplates) Template(member string, kind schema.GroupKind, namespace, name string) (types.UID, bool) {
	return "uid", slices.Contains(f, member+"/"+kind.String()+"/"+namespace+"/"+name)
}

// haveWeb is that members a and b have a Service.
var haveWeb = fakeTemplates{"a/Service/default/web", "b/Service/default/web"}

// said collects warnings.
type said []string

// AddWarning implements warning.Recorder.
func (s *said) AddWarning(_, text string) { *s = append(*s, text) }

func everything() []schema.GroupVersion { return Versions() }

// measured is an answer with metrics of Pods, namespace/name=label of each.
func measured(kind string, names ...string) string {
	var items []string
	for _, text := range names {
		name, label, _ := strings.Cut(text, "=")
		namespace, pod, ok := strings.Cut(name, "/")
		if !ok {
			namespace, pod = "", name
		}
		items = append(items, fmt.Sprintf(`{"metadata":{"namespace":%q,"name":%q,"labels":{%q:"x"}},"window":"15s","usage":{"cpu":"100m"},
			"containers":[{"name":"web","usage":{"cpu":"100m","memory":"1Mi"}},{"name":"proxy","usage":{"cpu":"20m","memory":"1Mi"}}]}`, namespace, pod, label))
	}
	return fmt.Sprintf(`{"kind":"%sMetricsList","apiVersion":"metrics.k8s.io/v1beta1","items":[%s]}`, kind, strings.Join(items, ","))
}

const podsPath, nodesPath = "metrics.k8s.io/v1beta1/namespaces/default/pods", "metrics.k8s.io/v1beta1/nodes"

func TestPods(t *testing.T) {
	shown := fakePods{"a/default/web-1": "web-1", "b/default/web-1": "web-1.b", "b/default/web-2": "web-2", "bare/default/tool": "tool"}
	both := map[string]map[string]string{
		"a": {podsPath: measured("Pod", "default/web-1", "default/foreign", "default/tool="+wellknown.LabelManagedBy)},
		"b": {podsPath: measured("Pod", "default/web-2", "default/web-1", "default/tool="+wellknown.LabelManagedBy)},
	}
	a, b := Member{Name: "a", Serves: everything()}, Member{Name: "b", Serves: everything()}
	for name, tc := range map[string]struct {
		reason   string
		members  []Member
		says     map[string]map[string]string
		labels   string
		fields   string
		want     []string
		warnings said
		err      string
	}{
		"All": {
			reason:  "What members measured of the fleet's Pods has the names that the fleet shows, and nothing is told of Pods of others, nor of what a member says it has.",
			members: []Member{a, b}, says: both,
			want: []string{"tool=bare", "web-1=a", "web-1.b=b", "web-2=b"},
		},
		"OneMember": {
			reason:  "A selector for a member asks nobody else, and it is not the member's to understand.",
			members: []Member{a, b}, says: map[string]map[string]string{"b": both["b"]}, labels: wellknown.LabelCluster + "=b",
			want: []string{"web-1.b=b", "web-2=b"},
		},
		"Labels": {
			reason: "Members select by labels that are theirs.", members: []Member{a}, labels: "app=web,pod-template-hash!=x",
			says: map[string]map[string]string{"a": {podsPath + "?labelSelector=app%3Dweb": measured("Pod", "default/web-1")}},
			want: []string{"web-1=a"},
		},
		"Fields": {reason: "Fields are the fleet's.", members: []Member{a, b}, says: both, fields: "metadata.name=web-1.b", want: []string{"web-1.b=b"}},
		"Unready": {
			reason: "A member that is known not to answer is not waited for.", says: both,
			members: []Member{a, {Name: "b", Unready: "no lease", Serves: everything()}},
			want:    []string{"web-1=a"}, warnings: said{`metrics of member "b" are not shown: no lease`},
		},
		"Without": {
			reason: "Who has no metrics is named when others have.", members: []Member{a, {Name: "b"}}, says: both,
			want: []string{"web-1=a"}, warnings: said{`metrics of member "b" are not shown: it does not serve metrics.k8s.io/v1beta1`},
		},
		"Silent": {
			reason: "One that stands still delays the others by two seconds.", members: []Member{a, b},
			says: map[string]map[string]string{"a": both["a"], "b": {}},
			want: []string{"web-1=a"}, warnings: said{`metrics of member "b" are not shown: it did not answer within 2s`},
		},
		"Refused": {
			reason: "The words are the member's.", members: []Member{a, b},
			says: map[string]map[string]string{"a": both["a"], "b": {podsPath: "not you"}},
			want: []string{"web-1=a"}, warnings: said{`metrics of member "b" are not shown: not you`},
		},
		"NobodyAnswers": {
			reason: "Nothing is no answer.", members: []Member{a, b}, says: map[string]map[string]string{"a": {podsPath: "not you"}},
			err: `metrics are not available: member "a": not you; member "b": there is no way`,
		},
		"NobodyHasThem": {
			reason: "A fleet without metrics answers like a cluster without.", members: []Member{{Name: "a"}},
			err: "the server could not find the requested resource",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &podMetrics{fanOut: &fanOut{members: &fakeMembers{members: tc.members, says: tc.says}}, pods: shown, templates: fakeTemplates{"b/Pod/default/tool"}}
				warnings := said(nil)
				ctx := request.WithNamespace(warning.WithWarningRecorder(t.Context(), &warnings), "default")
				options := &metainternalversion.ListOptions{}
				var err error
				if options.LabelSelector, err = labels.Parse(tc.labels); err != nil {
					t.Fatal(err)
				}
				if options.FieldSelector, err = fields.ParseSelector(tc.fields); err != nil {
					t.Fatal(err)
				}
				list, err := p.List(ctx, options)
				if tc.err != "" {
					if err == nil || err.Error() != tc.err {
						t.Errorf("\n%s\nList(...): want error %q, got %v", tc.reason, tc.err, err)
					}
					return
				}
				if err != nil {
					t.Fatalf("\n%s\nList(...): %v", tc.reason, err)
				}
				var got []string
				for i := range list.(*metrics.PodMetricsList).Items {
					pod := &list.(*metrics.PodMetricsList).Items[i]
					got = append(got, pod.Name+"="+pod.Labels[wellknown.LabelCluster])
				}
				if diff := cmp.Diff(tc.want, got); diff != "" {
					t.Errorf("\n%s\nList(...): -want, +got:\n%s", tc.reason, diff)
				}
				if diff := cmp.Diff(tc.warnings, warnings); diff != "" {
					t.Errorf("\n%s\nList(...): warnings -want, +got:\n%s", tc.reason, diff)
				}
			})
		})
	}
}

func TestGet(t *testing.T) {
	members := &fakeMembers{members: []Member{{Name: "a", Serves: everything()}, {Name: "b", Serves: everything()}}, says: map[string]map[string]string{
		"a": {podsPath: measured("Pod", "default/web-1")},
		"b": {podsPath: measured("Pod"), nodesPath + "/n.1": `{"metadata":{"name":"n.1"},"usage":{"cpu":"2"}}`},
	}}
	all := &fanOut{members: members}
	pods, nodes := &podMetrics{fanOut: all, pods: fakePods{"a/default/web-1": "web-1"}}, &nodeMetrics{fanOut: all}
	ctx := request.WithNamespace(t.Context(), "default")
	pod, err := pods.Get(ctx, "web-1", nil)
	if err != nil || pod.(*metrics.PodMetrics).Name != "web-1" {
		t.Errorf("a Pod is found by the name that the fleet shows: got %v, %v", pod, err)
	}
	if _, err := pods.Get(ctx, "nope", nil); !apierrors.IsNotFound(err) {
		t.Errorf("one that nobody measured is not found: got %v", err)
	}
	node, err := nodes.Get(t.Context(), "n.1.b", nil)
	if err != nil || node.(*metrics.NodeMetrics).Name != "n.1.b" {
		t.Errorf("a Node is asked for in its member: got %v, %v", node, err)
	}
	for _, name := range []string{"..%2F..%2Fpods.b", "../../pods.b"} {
		if _, err := nodes.Get(t.Context(), name, nil); !apierrors.IsBadRequest(err) {
			t.Errorf("no name leads out of the group: got %v for %q", err, name)
		}
	}
	if _, err := nodes.Get(t.Context(), "...b", nil); !apierrors.IsNotFound(err) {
		t.Errorf("nor does what a member's Node would be called: got %v", err)
	}
	if _, err := pods.Get(request.WithNamespace(t.Context(), "..%2f.."), "web-1", nil); !apierrors.IsBadRequest(err) {
		t.Errorf("no namespace leads out of the group: got %v", err)
	}
	for _, name := range []string{"n1", "n1.nowhere"} {
		if _, err := nodes.Get(t.Context(), name, nil); !apierrors.IsNotFound(err) {
			t.Errorf("Node %q is not found: got %v", name, err)
		}
	}
}

func TestNodes(t *testing.T) {
	n := &nodeMetrics{fanOut: &fanOut{members: &fakeMembers{
		members: []Member{{Name: "a", Serves: everything()}, {Name: "b", Serves: everything()}},
		says:    map[string]map[string]string{"a": {nodesPath: measured("Node", "n1")}, "b": {nodesPath: measured("Node", "n1")}},
	}}}
	list, err := n.List(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	table, err := n.ConvertToTable(t.Context(), list, nil)
	if err != nil {
		t.Fatal(err)
	}
	var got [][]any
	for _, row := range table.Rows {
		got = append(got, row.Cells)
	}
	if diff := cmp.Diff([][]any{{"n1.a", "100m", "15s"}, {"n1.b", "100m", "15s"}}, got); diff != "" {
		t.Errorf("Nodes have the fleet's names, -want, +got:\n%s", diff)
	}
}

func TestTableOfPods(t *testing.T) {
	p := &podMetrics{fanOut: &fanOut{members: &fakeMembers{
		members: []Member{{Name: "a", Serves: everything()}}, says: map[string]map[string]string{"a": {podsPath: measured("Pod", "default/web-1")}},
	}}, pods: fakePods{"a/default/web-1": "web-1"}}
	list, err := p.List(request.WithNamespace(t.Context(), "default"), nil)
	if err != nil {
		t.Fatal(err)
	}
	table, err := p.ConvertToTable(t.Context(), list, nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]any{"web-1", "120m", "2Mi", "15s"}, table.Rows[0].Cells); diff != "" {
		t.Errorf("the containers of a Pod are added up, -want, +got:\n%s", diff)
	}
}

func TestRelay(t *testing.T) {
	const custom, outer = "custom.metrics.k8s.io/v1beta2", "external.metrics.k8s.io/v1beta1"
	about := func(kind, name, amount string) string {
		return fmt.Sprintf(`{"describedObject":{"kind":%q,"namespace":"default","name":%q},"metric":{"name":"hits"},"timestamp":"2026-01-01T00:00:0%sZ","value":%q}`, kind, name, amount[:1], amount)
	}
	list := func(items ...string) string {
		return `{"kind":"MetricValueList","apiVersion":"` + custom + `","metadata":{},"items":[` + strings.Join(items, ",") + `]}`
	}
	series := func(amount string) string {
		return `{"kind":"ExternalMetricValueList","apiVersion":"` + outer + `","metadata":{},"items":[{"metricName":"queue","metricLabels":{"q":"x"},"value":"` + amount + `"}]}`
	}
	members := &fakeMembers{
		members: []Member{{Name: "a", Serves: everything()}, {Name: "b", Serves: everything()}},
		says: map[string]map[string]string{
			"a": {
				custom + "/namespaces/default/pods/*/hits?labelSelector=app%3Dweb": list(about("Pod", "web-1", "1")),
				custom + "/namespaces/default/services/web/hits":                   list(about("Service", "web", "2500m")),
				custom + "/nodes/n1/hits":                                          list(about("Node", "n1", "7")),
				custom:                                                             `{"resources":[{"name":"pods/hits"},{"name":"pods/misses"}]}`,
				outer + "/namespaces/default/queue":                                series("3"),
				custom + "/namespaces/shop":                                        list(),
				custom + "/namespaces/shop/status/hits":                            list(),
			},
			"b": {
				custom + "/namespaces/default/pods/*/hits?labelSelector=app%3Dweb": list(about("Pod", "web-1", "2"), about("Pod", "foreign", "9")),
				custom + "/namespaces/default/pods/web-1/hits":                     list(about("Pod", "web-1", "2")),
				custom + "/namespaces/default/services/web/hits":                   list(about("Service", "web", "1")),
				custom:                                  `{"resources":[{"name":"pods/hits"}]}`,
				outer + "/namespaces/default/queue":     series("4"),
				custom + "/namespaces/shop":             list(),
				custom + "/namespaces/shop/status/hits": list(),
			},
		},
	}
	for name, tc := range map[string]struct {
		reason string
		method string
		path   string
		want   []string // parts of the answer
		lacks  string
		code   int
	}{
		"Pods": {
			reason: "Values are about the Pods that the fleet shows.", path: custom + "/namespaces/default/pods/*/hits?labelSelector=app%3Dweb",
			want: []string{`"name":"web-1"`, `"name":"web-1.b"`}, lacks: "foreign",
		},
		"OnePod": {reason: "One Pod is its member's to tell of.", path: custom + "/namespaces/default/pods/web-1.b/hits", want: []string{`"name":"web-1.b"`, `"value":"2"`}},
		"Object": {
			reason: "Of another object the fleet has what all members have.", path: custom + "/namespaces/default/services/web/hits",
			want: []string{`"value":"3500m"`, `"timestamp":"2026-01-01T00:00:01Z"`},
		},
		"Node":     {reason: "Nodes have the fleet's names.", path: custom + "/nodes/n1.a/hits", want: []string{`"name":"n1.a"`}},
		"External": {reason: "Each member has a series of its own.", path: outer + "/namespaces/default/queue", want: []string{`"fleet.dev/cluster":"a"`, `"fleet.dev/cluster":"b"`, `"value":"3"`, `"value":"4"`}},
		"OneSeries": {
			reason: "A label tells them apart.", path: outer + "/namespaces/default/queue?labelSelector=fleet.dev%2Fcluster%3Db",
			want: []string{`"value":"4"`}, lacks: `"value":"3"`,
		},
		"Metrics":     {reason: "There are the metrics that some member has.", path: custom, want: []string{`"name":"pods/hits"`, `"name":"pods/misses"`}},
		"Group":       {reason: "The preferred version comes first.", path: customGroup, want: []string{`"preferredVersion":{"groupVersion":"custom.metrics.k8s.io/v1beta2"`}},
		"OfNamespace": {reason: "A path about a namespace itself is asked as it is.", path: custom + "/namespaces/shop", want: []string{`"items":[]`}},
		"OfItsStatus": {reason: "So is one about its status.", path: custom + "/namespaces/shop/status/hits", want: []string{`"items":[]`}},
		"Upwards":     {reason: "No path leads out of the group.", path: outer + "/namespaces/default/..", code: http.StatusBadRequest},
		"Write":       {reason: "Nothing is written.", method: http.MethodPost, path: outer + "/namespaces/default/queue", code: http.StatusMethodNotAllowed},
		"Selector":    {reason: "A selector that is none is refused.", path: outer + "/namespaces/default/queue?labelSelector=%3D%3D", code: http.StatusBadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			group, _, _ := strings.Cut(tc.path, "/")
			method := tc.method
			if method == "" {
				method = http.MethodGet
			}
			req := httptest.NewRequestWithContext(t.Context(), method, "/apis/"+tc.path, http.NoBody)
			infos := &request.RequestInfoFactory{APIPrefixes: sets.NewString("api", "apis"), GrouplessAPIPrefixes: sets.NewString("api")}
			info, err := infos.NewRequestInfo(req)
			if err != nil {
				t.Fatal(err)
			}
			recorder := httptest.NewRecorder()
			served := &relay{fanOut: &fanOut{members: members}, group: group, pods: fakePods{"a/default/web-1": "web-1", "b/default/web-1": "web-1.b"}, templates: haveWeb}
			served.ServeHTTP(recorder, req.WithContext(request.WithRequestInfo(t.Context(), info)))
			code := tc.code
			if code == 0 {
				code = http.StatusOK
			}
			if recorder.Code != code {
				t.Errorf("\n%s\nServeHTTP(...): want code %d, got %d: %s", tc.reason, code, recorder.Code, recorder.Body)
			}
			body := strings.NewReplacer(" ", "", "\n", "").Replace(recorder.Body.String())
			for _, part := range tc.want {
				if !strings.Contains(body, part) {
					t.Errorf("\n%s\nServeHTTP(...): want %s in %s", tc.reason, part, body)
				}
			}
			if tc.lacks != "" && strings.Contains(body, tc.lacks) {
				t.Errorf("\n%s\nServeHTTP(...): do not want %s in %s", tc.reason, tc.lacks, body)
			}
		})
	}
}

// fakeGroups is what is announced.
type fakeGroups map[string]bool

// AddGroupVersion implements groups.
func (f fakeGroups) AddGroupVersion(group string, version apidiscoveryv2.APIVersionDiscovery) {
	f[group+"/"+version.Version] = true
}

// RemoveGroupVersion implements groups.
func (f fakeGroups) RemoveGroupVersion(version metav1.GroupVersion) { delete(f, version.String()) }

func TestAnnounce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		members, announced := &fakeMembers{changed: make(chan struct{})}, fakeGroups{"metrics.k8s.io/v1beta1": true}
		go (&announcer{members: members, groups: announced}).run(ctx)
		for _, step := range []struct {
			reason string
			serves []schema.GroupVersion
			want   []string
		}{
			{reason: "What no member serves is not there."},
			{
				reason: "What one serves is.", serves: []schema.GroupVersion{{Group: "metrics.k8s.io", Version: "v1beta1"}, {Group: customGroup, Version: "v1beta1"}},
				want: []string{"custom.metrics.k8s.io/v1beta1", "metrics.k8s.io/v1beta1"},
			},
			{reason: "It goes with the last one."},
		} {
			before := members.changed
			members.members, members.changed = []Member{{Name: "a", Serves: step.serves}, {Name: "b"}}, make(chan struct{})
			close(before)
			synctest.Wait()
			if diff := cmp.Diff(step.want, slices.Sorted(maps.Keys(announced))); diff != "" {
				t.Errorf("\n%s\n-want, +got:\n%s", step.reason, diff)
			}
		}
	})
}
