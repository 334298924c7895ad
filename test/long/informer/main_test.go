// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package informer

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"fleet.dev/fleet/pkg/apis/wellknown"
	"fleet.dev/fleet/test/testbed"
	"fleet.dev/fleet/test/testbed/suite"
)

// settleTimeout bounds how long it takes until everybody sees the same.
const settleTimeout = 3 * time.Minute

// bed is what all tests share. TestMain sets it.
var bed *environment

// environment is a fleet over an external etcd, with three members.
type environment struct {
	dir, bin string
	bed      *testbed.Bed
	fleet    *testbed.Fleet
	config   *rest.Config
	kube     kubernetes.Interface
	members  []*member
}

// member is a joined cluster.
type member struct {
	*testbed.Member

	kube kubernetes.Interface
}

func TestMain(m *testing.M) { os.Exit(suite.Main(m, "_run/long-informer", setUp)) }

func setUp(ctx context.Context, b suite.Bed) (err error) {
	e := &environment{dir: b.Dir, bin: b.Bin, bed: b.Bed}
	bed = e
	if _, err = e.startMember(ctx, testbed.MemberConfig{Name: "near"}); err != nil { // the etcd is there with the first
		return err
	}
	if e.fleet, err = e.bed.StartFleet(ctx, testbed.FleetConfig{Args: append(e.etcdFlags(), "--projections-server=1")}); err != nil {
		return err
	}
	if e.config, err = e.fleet.RESTConfig(); err != nil {
		return err
	}
	e.config.WarningHandler = rest.NoWarnings{} // there are many
	if e.kube, err = kubernetes.NewForConfig(e.config); err != nil {
		return err
	}
	for _, config := range []testbed.MemberConfig{{Name: "next"}, {Name: "far", DialsOut: true}} {
		if _, err := e.startMember(ctx, config); err != nil {
			return err
		}
	}
	var joined []*testbed.Member
	for _, m := range e.members {
		if err := e.fleet.Join(ctx, m.Member); err != nil {
			return err
		}
		joined = append(joined, m.Member)
	}
	return e.fleet.AwaitReady(ctx, joined...)
}

// etcdFlags have an API server use the bed's etcd.
func (e *environment) etcdFlags() []string {
	return []string{"--etcd-servers=" + e.bed.EtcdEndpoint(), "--etcd-prefix=/fleet"}
}

func (e *environment) startMember(ctx context.Context, config testbed.MemberConfig) (*member, error) {
	m, err := e.bed.StartMember(ctx, config)
	if err != nil {
		return nil, err
	}
	restConfig, err := m.RESTConfig()
	if err != nil {
		return nil, err
	}
	kube, err := kubernetes.NewForConfig(restConfig)
	if err != nil {
		return nil, err
	}
	made := &member{Member: m, kube: kube}
	e.members = append(e.members, made)
	return made, nil
}

// newNamespace makes a namespace in the fleet, whose workloads run in every member. It goes
// with the test.
func newNamespace(t *testing.T, name string) {
	t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{wellknown.AnnotationPlacement: "duplicated"}}}
	if _, err := bed.kube.CoreV1().Namespaces().Create(t.Context(), namespace, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := bed.kube.CoreV1().Namespaces().Delete(context.WithoutCancel(t.Context()), name, metav1.DeleteOptions{}); err != nil {
			t.Errorf("clean up: %v", err)
		}
	})
}

// eventually fails the test unless check succeeds in time. Its last error says what was
// seen instead. It returns how long that took.
func eventually(t *testing.T, what string, check func(context.Context) error) time.Duration {
	t.Helper()
	began := time.Now()
	last := errors.New("it was not looked at")
	err := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, settleTimeout, true, func(ctx context.Context) (bool, error) {
		last = check(ctx)
		return last == nil, nil
	})
	if err != nil {
		t.Fatalf("wait %s for %s: %v", settleTimeout, what, last)
	}
	return time.Since(began)
}
