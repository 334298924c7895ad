// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package differences

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"fleet.dev/fleet/test/testbed"
	"fleet.dev/fleet/test/testbed/toolchain"
)

// Sides of the comparison.
const (
	fleet = iota
	plain
)

// pair is something of each side.
type pair [2]string

// members are those of the fleet.
var members = []string{"member1", "member2", "member3"}

// stage is a fleet and a plain cluster.
type stage struct {
	repo, dir string
	sides     [2]*side
	joined    []*testbed.Member
}

// side is the fleet or the plain cluster, as its administrator uses it.
type side struct {
	name string
	// dir is where commands run: a copy of testdata.
	dir string
	env []string
}

// newStage starts both sides and stops them when the test ends. They have the same number of
// nodes, all of them alike.
func newStage(t *testing.T) *stage {
	t.Helper()
	repo, err := toolchain.Repo(".")
	if err != nil {
		t.Fatal(err)
	}
	bin, dir := filepath.Join(repo, "_bin"), filepath.Join(repo, "_run", "differences")
	bed, err := testbed.OpenEmpty(t.Context(), testbed.Config{Dir: dir, Bin: bin, Report: func(line string) { t.Log(line) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(bed.Stop(context.WithoutCancel(t.Context())), bed.Close()); err != nil {
			t.Errorf("stop the test bed: %v", err)
		}
	})
	configs := []testbed.MemberConfig{{Name: "plain", Nodes: 2 * len(members), Flags: map[string][]string{
		"kube-apiserver": {"--requestheader-uid-headers=X-Remote-Uid"}, // as the fleet has
	}}}
	for i, name := range members {
		configs = append(configs, testbed.MemberConfig{Name: name, Nodes: 2, DialsOut: i == 1})
	}
	for i := range configs {
		configs[i].Region, configs[i].Zones = "region", []string{"zone"}
	}
	running, err := bed.StartMembers(t.Context(), configs...)
	if err != nil {
		t.Fatal(err)
	}
	server, err := bed.StartFleet(t.Context(), testbed.FleetConfig{})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range running[1:] {
		if err := server.Join(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	if err := server.AwaitReady(t.Context(), running[1:]...); err != nil {
		t.Fatal(err)
	}
	s := &stage{repo: repo, dir: dir, joined: running[1:]}
	s.sides[fleet] = newSide(t, dir, bin, "fleet", server.Kubeconfig())
	s.sides[plain] = newSide(t, dir, bin, "plain", running[0].Kubeconfig())
	return s
}

// newSide prepares a working directory with a kubeconfig that says cluster and admin,
// whatever the cluster is called.
func newSide(t *testing.T, dir, bin, name, kubeconfig string) *side {
	t.Helper()
	s := &side{name: name, dir: filepath.Join(dir, "work-"+name)}
	if err := errors.Join(os.RemoveAll(s.dir), os.CopyFS(s.dir, os.DirFS("testdata"))); err != nil {
		t.Fatal(err)
	}
	from, err := clientcmd.LoadFromFile(kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	current := from.Contexts[from.CurrentContext]
	to := clientcmdapi.NewConfig()
	to.Clusters["cluster"], to.AuthInfos["admin"] = from.Clusters[current.Cluster], from.AuthInfos[current.AuthInfo]
	to.Contexts["context"] = &clientcmdapi.Context{Cluster: "cluster", AuthInfo: "admin"}
	to.CurrentContext = "context"
	file := filepath.Join(s.dir, ".kube", "config")
	if err := clientcmd.WriteToFile(*to, file); err != nil {
		t.Fatal(err)
	}
	s.env = []string{
		"PATH=" + bin + string(filepath.ListSeparator) + os.Getenv("PATH"),
		"HOME=" + s.dir, "KUBECONFIG=" + file, "TMPDIR=" + os.TempDir(), "LANG=C.UTF-8",
	}
	return s
}

// document is the file that lists the differences.
func (s *stage) document() string { return filepath.Join(s.repo, "docs", "differences.md") }
