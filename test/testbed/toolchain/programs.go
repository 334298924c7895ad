// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package toolchain

import (
	"debug/buildinfo"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// program is one binary of the test bed.
type program struct {
	name    string // file name in the binaries directory
	pkg     string // import path of the main package
	module  string // module whose version is the program's version
	dir     string // directory of the module that pins it, relative to the repository
	ldflags func(pin) string
}

// Modules of programs.
const (
	kubernetes = "k8s.io/kubernetes"
	kwokModule = "sigs.k8s.io/kwok"

	metricsServerModule = "sigs.k8s.io/metrics-server"
)

// pin is the version of a module that a go.mod file selects.
type pin struct {
	Path    string
	Version string
	Time    time.Time
	Dir     string
}

// Directories of the pinning modules, relative to the repository.
const (
	mainDir = "."
	kwokDir = "hack/tools/kwok"
	helmDir = "hack/tools/helm"
	oldDir  = "hack/tools/kube-1.31"

	metricsServerDir = "hack/tools/metrics-server"
	conformanceDir   = "hack/tools/conformance"
)

// programs lists what a test bed needs, in build order. Neighbours with equal
// directories and linker flags are built by one go command.
func programs() []program {
	return append(controlPlane(mainDir), []program{
		{"kubectl", kubernetes + "/cmd/kubectl", kubernetes, mainDir, kubeLDFlags},
		{"etcd", "go.etcd.io/etcd/server/v3", "go.etcd.io/etcd/server/v3", mainDir, plainLDFlags},
		{"kwok", kwokModule + "/cmd/kwok", kwokModule, kwokDir, plainLDFlags},
		{"helm3", "helm.sh/helm/v3/cmd/helm", "helm.sh/helm/v3", helmDir, helmLDFlags},
		{"helm4", "helm.sh/helm/v4/cmd/helm", "helm.sh/helm/v4", helmDir, helmLDFlags},
	}...)
}

// controlPlane lists the programs of a member's control plane, of the release that
// the module in dir pins.
func controlPlane(dir string) []program {
	return []program{
		{"kube-apiserver", kubernetes + "/cmd/kube-apiserver", kubernetes, dir, kubeLDFlags},
		{"kube-controller-manager", kubernetes + "/cmd/kube-controller-manager", kubernetes, dir, kubeLDFlags},
		{"kube-scheduler", kubernetes + "/cmd/kube-scheduler", kubernetes, dir, kubeLDFlags},
	}
}

// MetricsServer is the program of metrics-server. See EnsureMetricsServer.
const MetricsServer = "metrics-server"

// OldRelease is the directory below the binaries directory that holds the control
// plane of an old release of Kubernetes, and its minor version. See EnsureOldRelease.
const OldRelease = "v1.31"

// Conformance is the program of Kubernetes' own end-to-end tests. See EnsureConformance.
const Conformance = "e2e.test"

// Netns is the test bed's own program for members in networks of their own.
const Netns = "netns"

// Links are the names in the binaries directory that point at another program.
var links = map[string]string{"helm": "helm3"}

// Stages are kwok's stage files that a test bed uses, relative to kwok's module;
// what objects do beyond these is in the testbed package's own stage files.
var stages = []string{
	"kustomize/stage/node/fast/node-initialize.yaml",
	"kustomize/stage/node/heartbeat-with-lease/node-heartbeat-with-lease.yaml",
	"kustomize/stage/node/chaos/node-not-ready.yaml",
	"kustomize/stage/pod/fast/pod-delete.yaml",
	"kustomize/stage/pod/chaos/pod-container-running-failed.yaml",
	"kustomize/stage/pod/chaos/pod-init-container-running-failed.yaml",
	"kustomize/stage/volume/fast/pv-bind.yaml",
	"kustomize/stage/volume/fast/pv-delete.yaml",
	"kustomize/stage/volume/fast/pvc-provision.yaml",
	"kustomize/stage/volume/fast/pvc-delete.yaml",
}

// StagesDir is the directory below the binaries directory that holds kwok's stage files.
const StagesDir = "kwok-stages"

func plainLDFlags(pin) string { return "-s -w" }

// kubeLDFlags sets the version that clients and servers report. The commit is
// left empty: a module knows its version and time only. Both packages are the
// ones upstream's own release build sets.
func kubeLDFlags(p pin) string {
	major, minor := majorMinor(p.Version)
	values := []string{
		"gitVersion=" + p.Version,
		"gitMajor=" + major,
		"gitMinor=" + minor,
		"gitCommit=",
		"gitTreeState=clean",
		"buildDate=" + p.Time.UTC().Format(time.RFC3339),
	}
	flags := []string{plainLDFlags(p)}
	for _, pkg := range []string{"k8s.io/component-base/version", "k8s.io/client-go/pkg/version"} {
		for _, value := range values {
			flags = append(flags, "-X "+pkg+"."+value)
		}
	}
	return strings.Join(flags, " ")
}

func helmLDFlags(p pin) string {
	return fmt.Sprintf("%s -X %s/internal/version.version=%s", plainLDFlags(p), p.Path, p.Version)
}

// majorMinor splits "v1.36.3" into "1" and "36".
func majorMinor(version string) (major, minor string) {
	major, rest, _ := strings.Cut(strings.TrimPrefix(version, "v"), ".")
	minor, _, _ = strings.Cut(rest, ".")
	return major, minor
}

// upToDate tells whether file is program p at version.
func (p program) upToDate(file, version string) bool {
	info, err := buildinfo.ReadFile(file)
	if err != nil {
		return false
	}
	return info.Path == p.pkg && info.Main.Path == p.module && info.Main.Version == version
}

// batch is what one go command builds.
type batch struct {
	dir      string
	ldflags  string
	programs []program
}

func (b batch) hasKwok() bool {
	return slices.ContainsFunc(b.programs, func(p program) bool { return p.module == kwokModule })
}

// output is the go command's -o: a directory for several programs, which it then
// names after their packages, and a file for one.
func (b batch) output(dir string) string {
	if len(b.programs) == 1 {
		return filepath.Join(dir, b.programs[0].name)
	}
	return dir + string(filepath.Separator)
}

// batches groups the programs of bin that are not up to date, keeping their order.
func batches(bin string, all []program, pins map[string]pin) []batch {
	var out []batch
	for _, p := range all {
		pinned := pins[p.module]
		if p.upToDate(filepath.Join(bin, p.name), pinned.Version) {
			continue
		}
		flags := p.ldflags(pinned)
		if n := len(out); n > 0 && out[n-1].dir == p.dir && out[n-1].ldflags == flags {
			out[n-1].programs = append(out[n-1].programs, p)
			continue
		}
		out = append(out, batch{dir: p.dir, ldflags: flags, programs: []program{p}})
	}
	return out
}
