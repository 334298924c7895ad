// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package informer

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"fleet.dev/fleet/pkg/apis/wellknown"
)

const (
	// stoppedFor is how long a member stands still: longer than it takes the fleet to
	// notice (Ready=Unknown after 40 s, pings after 45 s).
	stoppedFor = 75 * time.Second
	// listing is what a list is called.
	listing = "list"
	// answered is how long a list may take meanwhile.
	answered = 2 * time.Second
	// perMember are the replicas of the workload that is looked at in each member, replicas
	// all of them.
	perMember = 4
	replicas  = 3 * perMember
)

// TestStopped has the API server of a member stand still, as SIGSTOP makes it: connections
// stay open and nothing is answered. Lists go on having its Pods as they were last seen, soon
// with a Warning that names it, and nothing about the others gets slower.
func TestStopped(t *testing.T) {
	const namespace = "stopped"
	newNamespace(t, namespace)
	createDeployment(t, bed.kube, namespace, "web", perMember)
	eventually(t, "all Pods to run", func(ctx context.Context) error {
		ready, err := readyPods(ctx, namespace)
		if err == nil && ready != replicas {
			err = fmt.Errorf("%d of %d Pods run", ready, replicas)
		}
		return err
	})
	stopped := bed.members[0]
	other := podOf(t, namespace, bed.members[1].Name())
	l := &looks{namespace: namespace, other: other, stopped: stopped.Name(), warned: &warned{}}
	if err := l.connect(); err != nil {
		t.Fatal(err)
	}
	before := l.during(t, 10*time.Second)
	if l.warnedAfter != 0 || l.shown != replicas {
		t.Fatalf("before: %d of %d Pods are shown, warned: %t", l.shown, replicas, l.warnedAfter != 0)
	}

	if err := stopped.APIServer.Pause(); err != nil {
		t.Fatal(err)
	}
	resume := func() {
		if err := stopped.APIServer.Resume(); err != nil {
			t.Error(err)
		}
	}
	meanwhile := l.during(t, stoppedFor)
	t.Logf("before:    %s", before)
	t.Logf("meanwhile: %s; the Warning came after %s", meanwhile, l.warnedAfter.Round(time.Second))
	cold := l.coldList(t)
	resume()

	if l.shown != replicas {
		t.Errorf("a list has %d of %d Pods while %s stands still", l.shown, replicas, stopped.Name())
	}
	if l.warnedAfter == 0 {
		t.Errorf("no list said in %s that what is shown of %s is old", stoppedFor, stopped.Name())
	}
	if cold > answered+time.Second {
		t.Errorf("the first list of a kind took %s, want it to wait for %s no longer than %s", cold, stopped.Name(), answered)
	}
	for what, took := range meanwhile {
		if longest := slices.Max(took); longest > answered {
			t.Errorf("%s took %s once, want %s at most", what, longest, answered)
		}
		chance := 20 * time.Millisecond
		if what == listing {
			// A list is as new as etcd is. The watch cache asks for that every 100 ms, as in
			// any API server, and where in between a list falls is chance.
			chance += 100 * time.Millisecond
		}
		if now, then := median(took), median(before[what]); now > 2*then+chance {
			t.Errorf("%s takes %s while %s stands still, and took %s before", what, now, stopped.Name(), then)
		}
	}
	eventually(t, "the member to be back", func(ctx context.Context) error {
		if warnings := l.list(ctx); len(warnings) > 0 {
			return fmt.Errorf("a list warns: %q", warnings)
		}
		return nil
	})
}

func readyPods(ctx context.Context, namespace string) (int, error) {
	pods, err := bed.kube.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return 0, err
	}
	ready := 0
	for i := range pods.Items {
		if slices.ContainsFunc(pods.Items[i].Status.Conditions, func(c corev1.PodCondition) bool {
			return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
		}) {
			ready++
		}
	}
	return ready, nil
}

// podOf is the name of a Pod in a member.
func podOf(t *testing.T, namespace, member string) string {
	t.Helper()
	pods, err := bed.kube.CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{LabelSelector: wellknown.LabelCluster + "=" + member})
	if err != nil || len(pods.Items) == 0 {
		t.Fatalf("want a Pod in %s, got %d, %v", member, len(pods.Items), err)
	}
	return pods.Items[0].Name
}

// looks is what users do, again and again, and how long each took.
type looks struct {
	namespace, other, stopped string

	kube   kubernetes.Interface
	warned *warned
	// shown are how few Pods a list ever had, warnedAfter when a list first said that those
	// of the member that is stopped are old.
	shown       int
	warnedAfter time.Duration
}

// durations are those of what was done.
type durations map[string][]time.Duration

// String implements fmt.Stringer.
func (d durations) String() string {
	var out []string
	for what, took := range d {
		out = append(out, fmt.Sprintf("%s: p50 %s, longest %s of %d", what,
			median(took).Round(100*time.Microsecond), slices.Max(took).Round(time.Millisecond), len(took)))
	}
	slices.Sort(out)
	return strings.Join(out, "; ")
}

func median(took []time.Duration) time.Duration {
	return slices.Sorted(slices.Values(took))[len(took)/2]
}

// connect makes a client whose warnings are seen.
func (l *looks) connect() error {
	config := rest.CopyConfig(bed.config)
	config.WarningHandler = l.warned
	var err error
	l.kube, err = kubernetes.NewForConfig(config)
	return err
}

// during looks for a while.
func (l *looks) during(t *testing.T, period time.Duration) durations {
	t.Helper()
	took, began := durations{}, time.Now()
	l.shown, l.warnedAfter = 1<<30, 0
	timed := func(what string, do func() error) {
		t.Helper()
		at := time.Now()
		if err := do(); err != nil {
			t.Errorf("%s, %s after the start: %v", what, time.Since(began).Round(time.Second), err)
		}
		took[what] = append(took[what], time.Since(at))
	}
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for step := 0; time.Since(began) < period; step++ {
		ctx := t.Context()
		timed("list", func() error {
			for _, text := range l.list(ctx) {
				if strings.Contains(text, l.stopped) && l.warnedAfter == 0 {
					l.warnedAfter = time.Since(began)
				}
			}
			return nil
		})
		timed("get a Pod of another member", func() error {
			_, err := l.kube.CoreV1().Pods(l.namespace).Get(ctx, l.other, metav1.GetOptions{})
			return err
		})
		timed("logs of a Pod of another member", func() error {
			return l.logs(ctx)
		})
		timed("create a ConfigMap", func() error {
			_, err := l.kube.CoreV1().ConfigMaps(l.namespace).Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{GenerateName: "c-"}}, metav1.CreateOptions{})
			return err
		})
		<-ticker.C
	}
	return took
}

// list lists Pods, keeps how few there ever were, and returns what it was warned of.
func (l *looks) list(ctx context.Context) []string {
	l.warned.texts = nil
	pods, err := l.kube.CoreV1().Pods(l.namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		l.shown = 0
		return []string{err.Error()}
	}
	l.shown = min(l.shown, len(pods.Items))
	return l.warned.texts
}

func (l *looks) logs(ctx context.Context) error {
	stream, err := l.kube.CoreV1().Pods(l.namespace).GetLogs(l.other, &corev1.PodLogOptions{}).Stream(ctx)
	if err != nil {
		return err
	}
	defer stream.Close() //nolint:errcheck // only read
	_, err = io.Copy(io.Discard, stream)
	return err
}

// coldList lists a kind that nobody looked at yet, so that members have to be asked.
func (l *looks) coldList(t *testing.T) time.Duration {
	t.Helper()
	l.warned.texts = nil
	began := time.Now()
	if _, err := l.kube.CoreV1().PersistentVolumeClaims(l.namespace).List(t.Context(), metav1.ListOptions{}); err != nil {
		t.Error(err)
	}
	took := time.Since(began)
	if !slices.ContainsFunc(l.warned.texts, func(text string) bool { return strings.Contains(text, l.stopped) }) {
		t.Errorf("the first list of a kind does not say that %s is missing: %q", l.stopped, l.warned.texts)
	}
	t.Logf("the first list of a kind took %s, and warned %q", took.Round(time.Millisecond), l.warned.texts)
	return took
}

// warned keeps warnings. It implements rest.WarningHandler.
type warned struct{ texts []string }

// HandleWarningHeader implements rest.WarningHandler.
func (w *warned) HandleWarningHeader(_ int, _, text string) { w.texts = append(w.texts, text) }
