// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package dependency

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/sets"

	"fleet.dev/fleet/pkg/scheduler/template"
)

// world is templates in memory.
type world map[template.Key]*template.Template

var _ Templates = world{}

func (w world) Labels(key template.Key) map[string]string {
	if t := w[key]; t != nil {
		return t.Labels
	}
	return nil
}

func (w world) Find(match template.Match) []template.Key {
	var found []template.Key
	for key, t := range w {
		if key.GroupKind() == match.Kind && key.Namespace == match.Namespace && match.Selector.Matches(labels.Set(t.Labels)) {
			found = append(found, key)
		}
	}
	return found
}

// put is what a source does.
func (w world) put(i *Index, t *template.Template) []template.Key {
	before := w[t.Key()]
	w[t.Key()] = t
	return i.Update(before, t)
}

func key(kind, name string) template.Key {
	return template.Key{Kind: kind, Namespace: "shop", Name: name}
}

func made(kind, name string, own map[string]string, links *template.Links) *template.Template {
	return &template.Template{
		Kind:       schema.GroupVersionKind{Version: "v1", Kind: kind},
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, Labels: own},
		Links:      links,
	}
}

func running(name string, pods map[string]string, needs ...template.Key) *template.Template {
	t := made("Deployment", name, nil, &template.Links{Needs: needs})
	t.Workload = &template.Workload{Labels: pods}
	return t
}

func selecting(kind, name, selector string) *template.Template {
	parsed, err := labels.Parse(selector)
	if err != nil {
		panic(err) // a mistake in this file
	}
	return made(kind, name, nil, &template.Links{Pods: parsed})
}

// shop is a namespace as they are: two workloads behind one Ingress.
func shop() []*template.Template {
	web, api := key("Service", "web"), key("Service", "api")
	return []*template.Template{
		running("web", map[string]string{"app": "web"}, key("ConfigMap", "web"), key("ServiceAccount", "robot")),
		running("api", map[string]string{"app": "api"}, key("ConfigMap", "api")),
		made("ServiceAccount", "robot", nil, &template.Links{Needs: []template.Key{key("Secret", "pull")}}),
		selecting("Service", "web", "app=web"),
		selecting("Service", "api", "app=api"),
		selecting("Service", "both", "app in (api,web)"),
		selecting("Budget", "all", ""),
		made("Ingress", "www", nil, &template.Links{Needs: []template.Key{web, api, key("Secret", "tls")}, Fronts: []template.Key{api, web}}),
		made("Ingress", "internal", nil, &template.Links{Needs: []template.Key{api}, Fronts: []template.Key{api}}),
		made("Autoscaler", "web", nil, &template.Links{Targets: []template.Key{key("Deployment", "web")}}),
		made("Cache", "big", nil, &template.Links{Matching: []template.Match{{
			Kind: schema.GroupKind{Kind: "Secret"}, Namespace: "shop", Selector: labels.SelectorFromSet(labels.Set{"for": "cache"}),
		}}}),
		made("Secret", "cache", map[string]string{"for": "cache"}, nil),
		made("Secret", "other", nil, nil),
	}
}

func names(keys []template.Key) string {
	var out []string
	for _, k := range keys {
		out = append(out, strings.ToLower(k.Kind)+"/"+k.Name)
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

func TestAlong(t *testing.T) {
	w, i := world{}, New(nil)
	i.templates = w
	for _, made := range shop() {
		w.put(i, made)
	}
	cases := map[string]struct {
		reason string
		of     template.Key
		along  string
		with   string
	}{
		"Workload": {
			reason: "It takes along what it refers to, what selects its Pods or scales it, and what is in front of that with all it needs, " +
				"but not what else is behind it.",
			of: key("Deployment", "web"),
			along: "autoscaler/web budget/all configmap/web ingress/www secret/pull secret/tls service/api service/both service/web " +
				"serviceaccount/robot",
		},
		"OtherWorkload": {
			reason: "It is behind two Ingresses.",
			of:     key("Deployment", "api"),
			along:  "budget/all configmap/api ingress/internal ingress/www secret/tls service/api service/both service/web",
		},
		"Ingress": {
			reason: "It goes along with all that is behind it, and takes along what it leads to.",
			of:     key("Ingress", "www"),
			along:  "secret/tls service/api service/web",
			with:   "deployment/api deployment/web",
		},
		"OneService": {
			reason: "It is behind one Ingress alone.",
			of:     key("Ingress", "internal"),
			along:  "service/api",
			with:   "deployment/api",
		},
		"Service": {
			reason: "It goes with its Pods, and with the Ingress that does.",
			of:     key("Service", "web"),
			with:   "deployment/api deployment/web ingress/www",
		},
		"OverAnother": {
			reason: "The Pods need it over their account.",
			of:     key("Secret", "pull"),
			with:   "deployment/web serviceaccount/robot",
		},
		"Found": {
			reason: "It is found by its label.",
			of:     key("Secret", "cache"),
			with:   "cache/big",
		},
		"NotFound": {reason: "It lacks the label.", of: key("Secret", "other")},
		"Finds":    {reason: "It takes along what it finds.", of: key("Cache", "big"), along: "secret/cache"},
		"Unknown":  {reason: "Nothing is known of it.", of: key("ConfigMap", "none")},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.along, names(i.Along(tc.of))); diff != "" {
				t.Errorf("\n%s\nAlong(%s): -want, +got:\n%s", tc.reason, tc.of, diff)
			}
			if diff := cmp.Diff(tc.with, names(i.With(tc.of))); diff != "" {
				t.Errorf("\n%s\nWith(%s): -want, +got:\n%s", tc.reason, tc.of, diff)
			}
		})
	}
}

func TestTargeting(t *testing.T) {
	w, i := world{}, New(nil)
	i.templates = w
	for _, made := range shop() {
		w.put(i, made)
	}
	cases := map[string]struct {
		reason string
		key    template.Key
		want   string
	}{
		"Named":    {reason: "The autoscaler names it; what selects its Pods does not.", key: key("Deployment", "web"), want: "autoscaler/web"},
		"Selected": {reason: "Nothing names it.", key: key("Deployment", "api")},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, names(i.Targeting(tc.key))); diff != "" {
				t.Errorf("\n%s\nTargeting(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestNeeded(t *testing.T) {
	w, i := world{}, New(nil)
	i.templates = w
	for _, made := range shop() {
		w.put(i, made)
	}
	for of, want := range map[template.Key]string{
		key("Deployment", "web"): "configmap/web secret/pull serviceaccount/robot",
		key("Ingress", "www"):    "secret/tls service/api service/web",
		key("Cache", "big"):      "secret/cache",
		key("ConfigMap", "web"):  "",
	} {
		if got := names(i.Needed(of)); got != want {
			t.Errorf("Needed(%s): want %q, got %q", of, want, got)
		}
	}
}

func TestUpdate(t *testing.T) {
	cases := map[string]struct {
		reason string
		change *template.Template
		want   string
	}{
		"Same": {
			reason: "Nothing changed.",
			change: running("web", map[string]string{"app": "web"}, key("ConfigMap", "web"), key("ServiceAccount", "robot")),
		},
		"Relabelled": {
			reason: "All that went along, and the Service of the other workload that does now.",
			change: running("web", map[string]string{"app": "api"}, key("ConfigMap", "web"), key("ServiceAccount", "robot")),
			want: "autoscaler/web budget/all configmap/web deployment/web ingress/internal ingress/www secret/pull secret/tls service/api " +
				"service/both service/web serviceaccount/robot",
		},
		"Selector": {
			reason: "The Service and what is in front of it, which may go elsewhere.",
			change: selecting("Service", "web", "app=none"),
			want:   "ingress/www secret/tls service/api service/web",
		},
		"Found": {
			reason: "It is found now; what it takes along, which is nothing, goes with it. It is decided about itself for its label.",
			change: made("Secret", "other", map[string]string{"for": "cache"}, nil),
		},
		"FoundWithNeeds": {
			reason: "What is found takes something along.",
			change: made("Secret", "cache", nil, &template.Links{Needs: []template.Key{key("ConfigMap", "root")}}),
			want:   "configmap/root secret/cache",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			w, i := world{}, New(nil)
			i.templates = w
			for _, made := range shop() {
				w.put(i, made)
			}
			if diff := cmp.Diff(tc.want, names(w.put(i, tc.change))); diff != "" {
				t.Errorf("\n%s\nUpdate(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

// TestForget: what is missing has its ties until somebody knows that it is gone, and
// then nothing is left of it.
func TestForget(t *testing.T) {
	w, i := world{}, New(nil)
	i.templates = w
	for _, made := range shop() {
		w.put(i, made)
	}
	if got := i.Update(w[key("Deployment", "web")], nil); got != nil {
		t.Errorf("missing is not gone, got %s", names(got))
	}
	if got := names(i.With(key("ConfigMap", "web"))); got != "deployment/web" {
		t.Errorf("missing is not gone: want it with deployment/web, got %q", got)
	}
	if got, want := names(i.Forget(key("ServiceAccount", "robot"))), "secret/pull serviceaccount/robot"; got != want {
		t.Errorf("Forget(): want %q concerned, got %q", want, got)
	}
	if got := i.Forget(key("ServiceAccount", "robot")); got != nil {
		t.Errorf("Forget() again: want nothing, got %s", names(got))
	}
	for k := range w {
		i.Forget(k)
	}
	left := len(i.nodes) + len(i.needing) + len(i.targeting) + len(i.fronting) + len(i.matching) + len(i.selecting) + len(i.running)
	if left != 0 {
		t.Errorf("want nothing left of what is gone, got %+v", i)
	}
}

// TestAgainstReference: after any history the index answers as one does that looks
// at everything, and tells of everything whose answer changed.
func TestAgainstReference(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 60 {
		w, i := world{}, New(nil)
		i.templates = w
		before := map[template.Key]string{}
		for range 40 {
			change := randomTemplate(random)
			told := sets.New(w.put(i, change)...).Insert(change.Key())
			for _, k := range everything() {
				now := names(reference(w, k))
				if got := names(i.With(k)); got != now {
					t.Fatalf("With(%s): want %q, got %q in %v", k, now, got, w)
				}
				if before[k] != now && !told.Has(k) {
					t.Fatalf("%s changed and nobody heard of %s, which goes with %q instead of %q", change.Key(), k, now, before[k])
				}
				before[k] = now
			}
		}
		for _, from := range everything() {
			for _, to := range i.Along(from) {
				if !slices.Contains(i.With(to), from) {
					t.Fatalf("%s goes along with %s, which the other direction does not know", to, from)
				}
			}
		}
	}
}

var kindsOfTest = []string{"Deployment", "Service", "Ingress", "Secret"}

func everything() []template.Key {
	var all []template.Key
	for _, kind := range kindsOfTest {
		for n := range 3 {
			all = append(all, key(kind, fmt.Sprint(n)))
		}
	}
	return all
}

func randomTemplate(random *rand.Rand) *template.Template {
	some := func(kind string) []template.Key {
		var keys []template.Key
		for n := range 3 {
			if random.IntN(3) == 0 {
				keys = append(keys, key(kind, fmt.Sprint(n)))
			}
		}
		return keys
	}
	pods := func() map[string]string { return map[string]string{"app": fmt.Sprint(random.IntN(2)), "tier": "x"} }
	name := fmt.Sprint(random.IntN(3))
	switch kind := kindsOfTest[random.IntN(len(kindsOfTest))]; kind {
	case "Deployment":
		return running(name, pods(), some("Secret")...)
	case "Service":
		selectors := []string{"", "app=0", "app=1", "app in (0,1)", "tier=x,app=1", "!app"}
		return selecting(kind, name, selectors[random.IntN(len(selectors))])
	case "Ingress":
		behind := some("Service")
		links := &template.Links{Needs: slices.Concat(some("Secret"), behind), Fronts: behind, Targets: some("Deployment")}
		return made(kind, name, nil, links)
	default:
		t := made(kind, name, map[string]string{"for": fmt.Sprint(random.IntN(2))}, nil)
		if random.IntN(4) == 0 {
			t.Links = &template.Links{Matching: []template.Match{{
				Kind: schema.GroupKind{Kind: "Secret"}, Namespace: "shop", Selector: labels.SelectorFromSet(labels.Set{"for": "1"}),
			}}}
		}
		return t
	}
}

// reference returns what a template goes with, by the definition.
func reference(w world, of template.Key) []template.Key {
	seen := sets.New(of)
	for grew := true; grew; {
		grew = false
		for to := range seen {
			for _, from := range everything() {
				if !seen.Has(from) && takes(w, from, to) {
					seen.Insert(from)
					grew = true
				}
			}
		}
	}
	return seen.Delete(of).UnsortedList()
}

// takes reports whether one template takes another along over one tie.
func takes(w world, from, to template.Key) bool {
	a, b := w[from], w[to]
	if a == nil {
		a = made(from.Kind, from.Name, nil, nil)
	}
	if a.Links != nil && slices.Contains(a.Links.Needs, to) {
		return true
	}
	if b == nil {
		return false
	}
	if a.Links != nil && slices.ContainsFunc(a.Links.Matching, func(m template.Match) bool {
		return m.Kind == to.GroupKind() && m.Selector.Matches(labels.Set(b.Labels))
	}) {
		return true
	}
	if b.Links == nil {
		return false
	}
	useful := func(t *template.Template) bool {
		return t != nil && t.Links != nil && t.Links.Pods != nil && a.Workload != nil && t.Links.Pods.Matches(labels.Set(a.Workload.Labels))
	}
	return slices.Contains(b.Links.Targets, from) || useful(b) ||
		slices.ContainsFunc(b.Links.Fronts, func(k template.Key) bool { return useful(w[k]) })
}
