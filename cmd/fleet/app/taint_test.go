// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
)

// taintFleet serves two members whose taints can be patched.
type taintFleet struct {
	*testing.T
	mu       sync.Mutex
	clusters map[string]*clusterv1alpha1.Cluster
	// conflicts is how often a patch meets another writer first.
	conflicts int
	patches   []string
}

func newTaintFleet(t *testing.T, taints ...corev1.Taint) (*taintFleet, string) {
	t.Helper()
	f := &taintFleet{T: t, clusters: map[string]*clusterv1alpha1.Cluster{}}
	for _, name := range []string{"berlin", "paris"} {
		cluster := testCluster(name)
		cluster.TypeMeta = metav1.TypeMeta{APIVersion: "cluster.fleet.dev/v1alpha1", Kind: "Cluster"}
		cluster.ResourceVersion, cluster.UID, cluster.ManagedFields = "7", "u", nil
		cluster.Spec.Taints = slices.Clone(taints)
		f.clusters[name] = cluster
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /apis/cluster.fleet.dev/v1alpha1/clusters", f.list)
	mux.HandleFunc("GET /apis/cluster.fleet.dev/v1alpha1/clusters/{name}", f.get)
	mux.HandleFunc("PATCH /apis/cluster.fleet.dev/v1alpha1/clusters/{name}", f.patch)
	return f, serve(t, mux)
}

func (f *taintFleet) answer(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	if err := json.NewEncoder(w).Encode(body); err != nil {
		f.Error(err)
	}
}

func (f *taintFleet) refuse(w http.ResponseWriter, code int32, reason metav1.StatusReason, message string) {
	f.answer(w, int(code), metav1.Status{
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusFailure, Code: code, Reason: reason, Message: message,
	})
}

func (f *taintFleet) list(w http.ResponseWriter, r *http.Request) {
	list := clusterv1alpha1.ClusterList{}
	for _, name := range []string{"berlin", "paris"} {
		if selector := r.URL.Query().Get("labelSelector"); selector == "" || selector == "city="+name {
			list.Items = append(list.Items, *f.clusters[name])
		}
	}
	f.answer(w, http.StatusOK, list)
}

func (f *taintFleet) get(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	cluster, ok := f.clusters[r.PathValue("name")]
	if !ok {
		f.refuse(w, http.StatusNotFound, metav1.StatusReasonNotFound, `clusters.cluster.fleet.dev "`+r.PathValue("name")+`" not found`)
		return
	}
	f.answer(w, http.StatusOK, cluster)
}

func (f *taintFleet) patch(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	name := r.PathValue("name")
	body, err := io.ReadAll(r.Body)
	if err != nil {
		f.Error(err)
	}
	dryRun := r.URL.Query().Get("dryRun") == metav1.DryRunAll
	f.patches = append(f.patches, strings.TrimSpace(name+" "+string(body)+" "+strings.Join(r.URL.Query()["dryRun"], "")))
	if f.conflicts > 0 {
		f.conflicts--
		f.refuse(w, http.StatusConflict, metav1.StatusReasonConflict, "somebody was faster")
		return
	}
	before, err := json.Marshal(f.clusters[name])
	if err != nil {
		f.Error(err)
	}
	after, err := jsonpatch.MergePatch(before, body)
	if err != nil {
		f.Error(err)
	}
	patched := &clusterv1alpha1.Cluster{}
	if err := json.Unmarshal(after, patched); err != nil {
		f.Error(err)
	}
	if !dryRun {
		f.clusters[name] = patched
	}
	f.answer(w, http.StatusOK, patched)
}

// taints are those of a member, as kubectl writes them.
func (f *taintFleet) taints(name string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []string
	for i := range f.clusters[name].Spec.Taints {
		all = append(all, f.clusters[name].Spec.Taints[i].ToString())
	}
	return strings.Join(all, " ")
}

func TestTaint(t *testing.T) {
	dedicated := corev1.Taint{Key: "dedicated", Value: "gpu", Effect: corev1.TaintEffectNoSchedule}
	evicting := corev1.Taint{Key: "dedicated", Effect: corev1.TaintEffectNoExecute}
	unschedulable := corev1.Taint{Key: "cluster.fleet.dev/unschedulable", Effect: corev1.TaintEffectNoSchedule}
	for name, tc := range map[string]struct {
		reason    string
		args      string
		taints    []corev1.Taint
		conflicts int
		// paris and berlin are their taints afterwards.
		paris, berlin string
		out, errOut   string
		// silent is set when the server is not written to.
		silent bool
	}{
		"Cordon": {
			reason: "A cordon is a taint.", args: "cordon paris",
			paris: "cluster.fleet.dev/unschedulable:NoSchedule",
			out:   "cluster.cluster.fleet.dev/paris cordoned\n",
		},
		"CordonAgain": {
			reason: "A second one changes nothing, and says so.", args: "cordon paris", taints: []corev1.Taint{unschedulable}, silent: true,
			paris: "cluster.fleet.dev/unschedulable:NoSchedule", berlin: "cluster.fleet.dev/unschedulable:NoSchedule",
			out: "cluster.cluster.fleet.dev/paris already cordoned\n",
		},
		"CordonSelected": {
			reason: "Labels choose members.", args: "cordon -l city=berlin",
			berlin: "cluster.fleet.dev/unschedulable:NoSchedule",
			out:    "cluster.cluster.fleet.dev/berlin cordoned\n",
		},
		"UncordonAll": {
			reason: "Other taints stay.", args: "uncordon --all", taints: []corev1.Taint{dedicated, unschedulable},
			paris: "dedicated=gpu:NoSchedule", berlin: "dedicated=gpu:NoSchedule",
			out: "cluster.cluster.fleet.dev/berlin uncordoned\ncluster.cluster.fleet.dev/paris uncordoned\n",
		},
		"UncordonAgain": {
			reason: "What is not cordoned is left alone.", args: "uncordon paris", silent: true,
			out: "cluster.cluster.fleet.dev/paris already uncordoned\n",
		},
		"CordonSomeUnknown": {
			reason: "One that is not there does not keep the others.", args: "cordon rome paris",
			paris:  "cluster.fleet.dev/unschedulable:NoSchedule",
			out:    "cluster.cluster.fleet.dev/paris cordoned\n",
			errOut: "error: get cluster \"rome\": clusters.cluster.fleet.dev \"rome\" not found\n",
		},
		"Taint": {
			reason: "Taints are added.", args: "taint paris dedicated=gpu:NoSchedule slow:PreferNoSchedule",
			paris: "dedicated=gpu:NoSchedule slow:PreferNoSchedule",
			out:   "cluster.cluster.fleet.dev/paris tainted\n",
		},
		"KubectlWords": {
			reason: "Who is used to \"taint nodes\" may name the resource.", args: "taint clusters paris dedicated=gpu:NoSchedule",
			paris: "dedicated=gpu:NoSchedule",
			out:   "cluster.cluster.fleet.dev/paris tainted\n",
		},
		"NoOverwrite": {
			reason: "A taint that is there is not changed by accident.", args: "taint paris dedicated=ml:NoSchedule", taints: []corev1.Taint{dedicated}, silent: true,
			paris: "dedicated=gpu:NoSchedule", berlin: "dedicated=gpu:NoSchedule",
			errOut: "error: cluster paris already has dedicated taint(s) with same effect(s) and --overwrite is false\n",
		},
		"Overwrite": {
			reason: "But when that is said.", args: "taint paris dedicated=ml:NoSchedule --overwrite", taints: []corev1.Taint{dedicated, evicting},
			paris: "dedicated=ml:NoSchedule dedicated:NoExecute", berlin: "dedicated=gpu:NoSchedule dedicated:NoExecute",
			out: "cluster.cluster.fleet.dev/paris tainted\n",
		},
		"RemoveEffect": {
			reason: "One effect of a key goes.", args: "taint paris dedicated:NoExecute-", taints: []corev1.Taint{dedicated, evicting},
			paris: "dedicated=gpu:NoSchedule", berlin: "dedicated=gpu:NoSchedule dedicated:NoExecute",
			out: "cluster.cluster.fleet.dev/paris untainted\n",
		},
		"RemoveKey": {
			reason: "Or all of them.", args: "taint paris dedicated-", taints: []corev1.Taint{dedicated, evicting},
			berlin: "dedicated=gpu:NoSchedule dedicated:NoExecute",
			out:    "cluster.cluster.fleet.dev/paris untainted\n",
		},
		"RemoveUnknown": {
			reason: "One that is not there is an error.", args: "taint paris nope-", silent: true,
			errOut: "error: taint \"nope\" not found on cluster paris\n",
		},
		"Both": {
			reason: "Both in one write.", args: "taint paris a=b:NoSchedule dedicated-", taints: []corev1.Taint{dedicated},
			paris: "a=b:NoSchedule", berlin: "dedicated=gpu:NoSchedule",
			out: "cluster.cluster.fleet.dev/paris modified\n",
		},
		"Race": {
			reason: "Who writes taints meanwhile is not overwritten: it is tried again.", args: "cordon paris", conflicts: 2,
			paris: "cluster.fleet.dev/unschedulable:NoSchedule",
			out:   "cluster.cluster.fleet.dev/paris cordoned\n",
		},
		"ClientDryRun": {
			reason: "Nothing is sent.", args: "cordon paris --dry-run=client", silent: true,
			out: "cluster.cluster.fleet.dev/paris cordoned (dry run)\n",
		},
		"ServerDryRun": {
			reason: "It is sent for a trial.", args: "cordon paris --dry-run=server",
			out: "cluster.cluster.fleet.dev/paris cordoned (server dry run)\n",
		},
		"Output": {
			reason: "The object is shown as it will be.", args: "cordon paris --dry-run=client -o jsonpath={.kind}:{.spec.taints[*].key}", silent: true,
			out: "Cluster:cluster.fleet.dev/unschedulable",
		},
		"Nobody":      {reason: "No member is chosen by accident.", args: "cordon", silent: true, errOut: "error: expected the names of members, or --all, or a selector (-l)\n"},
		"AllAndOne":   {reason: "Two ways to choose contradict each other.", args: "cordon paris --all", silent: true, errOut: "error: expected the names of members, or --all, or a selector (-l)\n"},
		"NoTaint":     {reason: "What to do is missing.", args: "taint paris", silent: true, errOut: "error: expected at least one taint: KEY=VALUE:EFFECT, or KEY- to remove one\n"},
		"Order":       {reason: "Members come first.", args: "taint a=b:NoSchedule paris", silent: true, errOut: "error: all members must be named before taints: paris\n"},
		"BadEffect":   {reason: "An effect that does not exist is named.", args: "taint paris a=b:Never", silent: true, errOut: "error: invalid taint effect: Never, unsupported taint effect\n"},
		"Contradicts": {reason: "A taint cannot come and go.", args: "taint paris a=b:NoSchedule a-", silent: true, errOut: "error: cannot both set and remove the taint a:NoSchedule\n"},
		"BadDryRun":   {reason: "There are three ways.", args: "cordon paris --dry-run=maybe", silent: true, errOut: "error: --dry-run is \"maybe\", must be \"none\", \"server\" or \"client\"\n"},
	} {
		t.Run(name, func(t *testing.T) {
			f, kubeconfig := newTaintFleet(t, tc.taints...)
			f.conflicts = tc.conflicts
			out, errOut := runCommand(t, "fleet", append(strings.Fields(tc.args), "--kubeconfig", kubeconfig)...)
			if diff := cmp.Diff(tc.out, out); diff != "" {
				t.Errorf("\n%s\noutput: -want, +got:\n%s", tc.reason, diff)
			}
			if diff := cmp.Diff(tc.errOut, errOut); diff != "" {
				t.Errorf("\n%s\nstandard error: -want, +got:\n%s", tc.reason, diff)
			}
			if diff := cmp.Diff([]string{tc.paris, tc.berlin}, []string{f.taints("paris"), f.taints("berlin")}); diff != "" {
				t.Errorf("\n%s\ntaints of paris and berlin: -want, +got:\n%s", tc.reason, diff)
			}
			if tc.silent && len(f.patches) > 0 {
				t.Errorf("\n%s\nwritten: %v", tc.reason, f.patches)
			}
			for _, patch := range f.patches {
				if !strings.Contains(patch, `"resourceVersion":"7"`) {
					t.Errorf("\nA write is about the object that was read.\npatch: %s", patch)
				}
			}
		})
	}
}
