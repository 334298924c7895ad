// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares got with testdata/name, which -update rewrites.
func golden(t *testing.T, reason, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("\n%s\n%s: -want, +got (go test -update rewrites it):\n%s", reason, file, diff)
	}
}

// runCommand runs the command line and returns what it printed, the error as
// Run prints it.
func runCommand(t *testing.T, program string, args ...string) (out, errOut string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := NewCommand(program, genericiooptions.IOStreams{In: strings.NewReader(""), Out: &stdout, ErrOut: &stderr})
	cmd.SetArgs(args)
	cmd.SetContext(t.Context())
	if err := execute(cmd); err != nil {
		stderr.WriteString("error: " + err.Error() + "\n")
	}
	return stdout.String(), stderr.String()
}

// fakeFleet serves two members, as objects and as the table the real server
// prints, and the version. It returns a kubeconfig.
func fakeFleet(t *testing.T, members ...string) string {
	t.Helper()
	mux := http.NewServeMux()
	answer := func(w http.ResponseWriter, code int, body any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		if err := json.NewEncoder(w).Encode(body); err != nil {
			t.Error(err)
		}
	}
	asTable := func(r *http.Request) bool { return strings.Contains(r.Header.Get("Accept"), "as=Table") }
	mux.HandleFunc("GET /version", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, version.Info{Major: "1", Minor: "36", GitVersion: "v1.36.3"})
	})
	mux.HandleFunc("GET /apis/cluster.fleet.dev/v1alpha1/clusters", func(w http.ResponseWriter, r *http.Request) {
		if asTable(r) {
			answer(w, http.StatusOK, table(members...))
			return
		}
		list := clusterv1alpha1.ClusterList{}
		for _, name := range members {
			list.Items = append(list.Items, *testCluster(name))
		}
		answer(w, http.StatusOK, list)
	})
	mux.HandleFunc("GET /apis/cluster.fleet.dev/v1alpha1/clusters/{name}", func(w http.ResponseWriter, r *http.Request) {
		name := r.PathValue("name")
		for _, member := range members {
			if member == name && asTable(r) {
				answer(w, http.StatusOK, table(name))
				return
			}
			if member == name {
				answer(w, http.StatusOK, testCluster(name))
				return
			}
		}
		answer(w, http.StatusNotFound, metav1.Status{
			TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"},
			Status:   metav1.StatusFailure, Reason: metav1.StatusReasonNotFound, Code: http.StatusNotFound,
			Message: `clusters.cluster.fleet.dev "` + name + `" not found`,
			Details: &metav1.StatusDetails{Name: name, Group: "cluster.fleet.dev", Kind: "clusters"},
		})
	})
	return serve(t, mux)
}

// serve starts a server and returns a kubeconfig for it.
func serve(t *testing.T, handler http.Handler) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	config := clientcmdapi.NewConfig()
	config.Clusters["test"] = &clientcmdapi.Cluster{Server: server.URL}
	config.Contexts["test"] = &clientcmdapi.Context{Cluster: "test"}
	config.Contexts["other"] = &clientcmdapi.Context{Cluster: "test"}
	config.CurrentContext = "test"
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, file); err != nil {
		t.Fatal(err)
	}
	return file
}

func testCluster(name string) *clusterv1alpha1.Cluster {
	return &clusterv1alpha1.Cluster{
		ObjectMeta: metav1.ObjectMeta{Name: name, ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "fleet-join"}}},
		Spec: clusterv1alpha1.ClusterSpec{
			SyncMode:    clusterv1alpha1.Push,
			APIEndpoint: "https://" + name + ":6443",
			Taints:      []corev1.Taint{{Key: "dedicated", Effect: corev1.TaintEffectNoSchedule}},
		},
		Status: clusterv1alpha1.ClusterStatus{KubernetesVersion: "v1.36.3"},
	}
}

func table(names ...string) *metav1.Table {
	t := &metav1.Table{
		TypeMeta: metav1.TypeMeta{APIVersion: "meta.k8s.io/v1", Kind: "Table"},
		ColumnDefinitions: []metav1.TableColumnDefinition{
			{Name: "Name", Type: "string"},
			{Name: "Mode", Type: "string"},
			{Name: "Ready", Type: "string"},
			{Name: "API Endpoint", Type: "string", Priority: 1},
		},
	}
	for _, name := range names {
		t.Rows = append(t.Rows, metav1.TableRow{
			Cells:  []any{name, "Push", "True", "https://" + name + ":6443"},
			Object: runtime.RawExtension{Raw: []byte(`{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{"name":"` + name + `"}}`)},
		})
	}
	return t
}

func TestGetClusters(t *testing.T) {
	for name, tc := range map[string]struct {
		reason  string
		args    []string
		members []string
		golden  string
		errOut  string
	}{
		"Table":     {reason: "Members are shown as the server prints them.", members: []string{"berlin", "paris"}, golden: "clusters.txt"},
		"Wide":      {reason: "Wide shows more columns.", args: []string{"-o", "wide"}, members: []string{"berlin", "paris"}, golden: "clusters-wide.txt"},
		"NoHeaders": {reason: "Scripts want rows alone.", args: []string{"--no-headers"}, members: []string{"berlin", "paris"}, golden: "clusters-rows.txt"},
		"JSON":      {reason: "Objects carry their kind, and no managed fields.", args: []string{"-o", "json"}, members: []string{"berlin", "paris"}, golden: "clusters.json"},
		"YAML":      {reason: "One named member is an object, not a list.", args: []string{"paris", "-o", "yaml"}, members: []string{"berlin", "paris"}, golden: "cluster.yaml"},
		"Name":      {reason: "Names are for xargs.", args: []string{"-o", "name"}, members: []string{"berlin", "paris"}, golden: "clusters-name.txt"},
		"JSONPath":  {reason: "A template picks fields.", args: []string{"paris", "-o", "jsonpath={.spec.apiEndpoint}"}, members: []string{"paris"}, golden: "cluster-jsonpath.txt"},
		"Some": {
			reason:  "What is found is shown, what is not is an error.",
			args:    []string{"berlin", "rome", "paris"},
			members: []string{"berlin", "paris"},
			golden:  "clusters.txt",
			errOut:  "error: get cluster \"rome\": clusters.cluster.fleet.dev \"rome\" not found\n",
		},
		"None": {
			reason: "An empty fleet says how to fill it.",
			golden: "empty.txt",
			errOut: "No clusters found. A cluster joins with \"fleet join NAME --kubeconfig FILE\".\n",
		},
		"BadOutput": {
			reason: "A format that does not exist is answered with those that do.",
			args:   []string{"-o", "xml"},
			golden: "empty.txt",
			errOut: "error: unknown output format \"xml\", expected wide, json, yaml, name or jsonpath=TEMPLATE\n",
		},
		"NamesAndSelector": {
			reason: "Two ways to choose contradict each other.",
			args:   []string{"paris", "-l", "a=b"},
			golden: "empty.txt",
			errOut: "error: a selector (-l) and names exclude each other: give one of them\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			args := append([]string{"get", "clusters", "--kubeconfig", fakeFleet(t, tc.members...)}, tc.args...)
			out, errOut := runCommand(t, "fleet", args...)
			golden(t, tc.reason, tc.golden, out)
			if diff := cmp.Diff(tc.errOut, errOut); diff != "" {
				t.Errorf("\n%s\nstandard error: -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestNotAFleet(t *testing.T) {
	kubeconfig := serve(t, http.NotFoundHandler())
	for _, args := range [][]string{{"get", "clusters"}, {"get", "clusters", "paris"}, {"get", "clusters", "-o", "json"}, {"unjoin", "paris"}} {
		_, errOut := runCommand(t, "fleet", append(args, "--kubeconfig", kubeconfig)...)
		if want := "the server is not a fleet: it does not serve cluster.fleet.dev"; !strings.Contains(errOut, want) {
			t.Errorf("\nThe kubeconfig of something else is recognised.\nfleet %s: want %q in %q", strings.Join(args, " "), want, errOut)
		}
	}
}

func TestVersion(t *testing.T) {
	out, errOut := runCommand(t, "fleet", "version", "--kubeconfig", fakeFleet(t))
	if diff := cmp.Diff("Client Version: "+ownVersion().Version+"\nServer Version: v1.36.3\n", out); diff != "" || errOut != "" {
		t.Errorf("\nBoth versions are printed.\nfleet version: %s -want, +got:\n%s", errOut, diff)
	}

	kubeconfig := serve(t, http.NotFoundHandler())
	out, errOut = runCommand(t, "fleet", "version", "--kubeconfig", kubeconfig)
	if diff := cmp.Diff("Client Version: "+ownVersion().Version+"\n", out); diff != "" {
		t.Errorf("\nWithout a server this program's version is printed all the same.\nfleet version: -want, +got:\n%s", diff)
	}
	if !strings.HasPrefix(errOut, "error: ask the fleet for its version: ") {
		t.Errorf("\nAnd the command fails.\nfleet version: standard error: %q", errOut)
	}

	out, _ = runCommand(t, "fleet", "version", "-o", "json", "--kubeconfig", fakeFleet(t))
	var got versions
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(versions{ClientVersion: ownVersion(), ServerVersion: &version.Info{Major: "1", Minor: "36", GitVersion: "v1.36.3"}}, got); diff != "" {
		t.Errorf("\nPrograms read both versions.\nfleet version -o json: -want, +got:\n%s", diff)
	}
}

func TestHelp(t *testing.T) {
	for _, command := range []string{"", "cordon", "uncordon", "taint", "get", "get clusters", "get unknown", "diff", "promote", "release", "explain", "interpret", "render", "join", "kubeconfig", "register", "agent", "agent manifest", "accept", "token", "token create", "token list", "token delete", "unjoin", "version"} {
		t.Run(command, func(t *testing.T) {
			out, _ := runCommand(t, "kubectl-fleet", append(strings.Fields(command), "--help")...)
			golden(t, "The help is what was reviewed, and says \"kubectl fleet\" when so named.",
				strings.TrimSuffix("help-"+strings.ReplaceAll(command, " ", "-"), "-")+".txt", out)
		})
	}
}

func TestArguments(t *testing.T) {
	for name, tc := range map[string]struct {
		reason string
		args   []string
		want   string
	}{
		"JoinNothing": {reason: "A member needs a name.", args: []string{"join", "--kubeconfig", "f"}, want: "expected the name of one member, got 0 arguments: []"},
		"JoinTwo":     {reason: "One at a time.", args: []string{"join", "a", "b", "--kubeconfig", "f"}, want: `expected the name of one member, got 2 arguments: ["a" "b"]`},
		"JoinBadName": {reason: "The name becomes part of a namespace.", args: []string{"join", "Paris", "--kubeconfig", "f"}, want: `"Paris" cannot name a member: a lowercase RFC 1123 label`},
		"JoinLongName": {
			reason: "The namespace must not get too long.",
			args:   []string{"join", strings.Repeat("a", 50), "--kubeconfig", "f"},
			want:   "must be no more than 49 characters",
		},
		"JoinWithoutKubeconfig": {reason: "Nothing is joined by accident: the member is named explicitly.", args: []string{"join", "paris"}, want: `required flag(s) "kubeconfig" not set`},
		"JoinNoFile": {
			reason: "The file that is missing is named.",
			args:   []string{"join", "paris", "--kubeconfig", "testdata/none", "--fleet-kubeconfig", "FLEET"},
			want:   "reach the member: load the kubeconfig: stat testdata/none: no such file or directory",
		},
		"UnjoinNothing": {reason: "A member needs a name.", args: []string{"unjoin"}, want: "expected the name of one member, got 0 arguments: []"},
		"UnjoinUnknown": {reason: "A member that is not there is not waited for.", args: []string{"unjoin", "rome", "--kubeconfig", "FLEET"}, want: `get Cluster "rome": clusters.cluster.fleet.dev "rome" not found`},
		"VersionOutput": {reason: "A format that does not exist is answered with those that do.", args: []string{"version", "-o", "wide"}, want: `unknown output format "wide", expected json or yaml`},
		"Unknown":       {reason: "A command that does not exist is named.", args: []string{"jion"}, want: `unknown command "jion"`},
		"Suggested":     {reason: "And the likely one is suggested.", args: []string{"jion"}, want: "\tjoin\n"},
		"BadContext":    {reason: "A context that does not exist is named.", args: []string{"get", "clusters", "--kubeconfig", "FLEET", "--context", "nope"}, want: `context "nope" does not exist`},
	} {
		t.Run(name, func(t *testing.T) {
			for i, arg := range tc.args {
				if arg == "FLEET" {
					tc.args[i] = fakeFleet(t)
				}
			}
			_, errOut := runCommand(t, "fleet", tc.args...)
			if !strings.HasPrefix(errOut, "error: ") || !strings.Contains(errOut, tc.want) {
				t.Errorf("\n%s\nfleet %s: want %q, got %q", tc.reason, strings.Join(tc.args, " "), tc.want, errOut)
			}
		})
	}
}

func TestNoKubeconfig(t *testing.T) {
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "none"))
	_, errOut := runCommand(t, "fleet", "get", "clusters")
	if diff := cmp.Diff("error: "+errNoKubeconfig.Error()+"\n", errOut); diff != "" {
		t.Errorf("\nWho has no kubeconfig is told where one is.\nfleet get clusters: -want, +got:\n%s", diff)
	}
}

func TestCompletion(t *testing.T) {
	kubeconfig := fakeFleet(t, "berlin", "paris")
	for name, tc := range map[string]struct {
		reason string
		args   []string
		want   string
	}{
		"Get":       {reason: "Names of members complete.", args: []string{"get", "clusters", "--kubeconfig", kubeconfig, ""}, want: "berlin\nparis\n:4\n"},
		"GetSecond": {reason: "Each once.", args: []string{"get", "clusters", "--kubeconfig", kubeconfig, "paris", ""}, want: "berlin\n:4\n"},
		"Unjoin":    {reason: "One member leaves at a time.", args: []string{"unjoin", "--kubeconfig", kubeconfig, "paris", ""}, want: ":4\n"},
		"Output":    {reason: "Formats complete.", args: []string{"version", "-o", ""}, want: "json\nyaml\n:4\n"},
		"Context":   {reason: "Contexts complete.", args: []string{"unjoin", "--kubeconfig", kubeconfig, "--context", ""}, want: "other\ntest\n:4\n"},
	} {
		t.Run(name, func(t *testing.T) {
			out, _ := runCommand(t, "fleet", append([]string{"__complete"}, tc.args...)...)
			if diff := cmp.Diff(tc.want, out); diff != "" {
				t.Errorf("\n%s\nfleet __complete: -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if out, errOut := runCommand(t, "fleet", "completion", shell); len(out) < 1000 || errOut != "" {
			t.Errorf("\nEvery shell has a script.\nfleet completion %s: %d bytes, %s", shell, len(out), errOut)
		}
	}
}
