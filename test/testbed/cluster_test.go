// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package testbed_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"

	"fleet.dev/fleet/test/testbed"
	"fleet.dev/fleet/test/testbed/toolchain"
)

const (
	timeout  = 2 * time.Minute
	interval = 50 * time.Millisecond
	nodes    = 3
)

// cluster is one member and a client of it. Its methods are the things a user
// expects of a cluster; each returns what is not so.
type cluster struct {
	kubernetes.Interface

	bed    *testbed.Bed
	member *testbed.Member
}

// TestMember proves that what the other end-to-end tests stand on is a real
// cluster, and that it can be broken and mended. The checks run in this order.
func TestMember(t *testing.T) {
	c := startMember(t, testbed.MemberConfig{Name: "member1", Nodes: nodes})
	for _, tc := range []struct {
		name   string
		reason string
		check  func(context.Context) error
	}{
		{"Deployment", "a deployment becomes available and is spread over the nodes", c.runsDeployments},
		{"Logs", "the API server reads logs through the node's kubelet", c.servesLogs},
		{"StatefulSet", "a claim binds and its pod runs", c.runsStatefulSets},
		{"LoadBalancer", "services and ingresses get addresses", c.hasLoadBalancers},
		{"UnpullableImage", "an image that cannot be pulled never becomes available", c.failsToPull},
		{"JobSucceeds", "a command that ends completes its job", c.completesJobs},
		{"JobFails", "exit 1 fails its job", c.failsJobs},
		{"AddedNode", "a node that is added takes the pods that ask for it", c.runsOnAddedNodes},
		{"Paused", "a paused API server keeps its clients waiting, and goes on afterwards", c.hangsWhilePaused},
		{"Killed", "killed parts come back with their data, others are left alone", c.survivesKill},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if err := tc.check(t.Context()); err != nil {
				t.Errorf("%s: %v", tc.reason, err)
			}
		})
	}
}

// startMember starts a bed with one member.
func startMember(t *testing.T, config testbed.MemberConfig) cluster {
	t.Helper()
	repo, err := toolchain.Repo(".")
	if err != nil {
		t.Fatal(err)
	}
	bed, err := testbed.OpenEmpty(t.Context(), testbed.Config{
		Dir: filepath.Join(repo, "_run", "e2e", "testbed"), Bin: filepath.Join(repo, "_bin"),
		Report: func(line string) { t.Log(line) },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		end := bed.Destroy
		if t.Failed() {
			end = bed.Stop // logs stay
		}
		if err := end(context.Background()); err != nil {
			t.Error(err)
		}
	})
	started := time.Now()
	member, err := bed.StartMember(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("a member starts in %.1f s", time.Since(started).Seconds())
	restConfig, err := member.RESTConfig()
	if err != nil {
		t.Fatal(err)
	}
	client, err := kubernetes.NewForConfig(restConfig)
	if err != nil {
		t.Fatal(err)
	}
	return cluster{Interface: client, bed: bed, member: member}
}

func (c cluster) runsDeployments(ctx context.Context) error {
	const replicas = 2 * nodes
	if err := c.createDeployment(ctx, "web", "nginx", replicas); err != nil {
		return err
	}
	if err := c.awaitAvailable(ctx, "web", replicas); err != nil {
		return err
	}
	pods, err := c.podsOf(ctx, "web")
	if err != nil {
		return err
	}
	used := map[string]int{}
	for _, pod := range pods {
		used[pod.Spec.NodeName]++
	}
	if len(used) != nodes {
		return fmt.Errorf("%d pods are on %v, want them on %d nodes", replicas, used, nodes)
	}
	return nil
}

func (c cluster) servesLogs(ctx context.Context) error {
	pods, err := c.podsOf(ctx, "web")
	if err != nil {
		return err
	}
	log, err := c.CoreV1().Pods(metav1.NamespaceDefault).GetLogs(pods[0].Name, &corev1.PodLogOptions{}).DoRaw(ctx)
	if err == nil && len(log) == 0 {
		err = errors.New("the log is empty")
	}
	return err
}

func (c cluster) runsStatefulSets(ctx context.Context) error {
	set := &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Name: "db"},
		Spec: appsv1.StatefulSetSpec{
			Replicas: ptr.To[int32](2),
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "db"}},
			Template: podTemplate("db", "postgres"),
			VolumeClaimTemplates: []corev1.PersistentVolumeClaim{{
				ObjectMeta: metav1.ObjectMeta{Name: "data"},
				Spec: corev1.PersistentVolumeClaimSpec{
					AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
					Resources: corev1.VolumeResourceRequirements{
						Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")},
					},
				},
			}},
		},
	}
	sets := c.AppsV1().StatefulSets(metav1.NamespaceDefault)
	if _, err := sets.Create(ctx, set, metav1.CreateOptions{}); err != nil {
		return err
	}
	err := eventually(ctx, func(ctx context.Context) error {
		set, err := sets.Get(ctx, "db", metav1.GetOptions{})
		if err == nil && set.Status.AvailableReplicas != 2 {
			err = fmt.Errorf("%d of 2 replicas are available", set.Status.AvailableReplicas)
		}
		return err
	})
	if err != nil {
		return err
	}
	claim, err := c.CoreV1().PersistentVolumeClaims(metav1.NamespaceDefault).Get(ctx, "data-db-1", metav1.GetOptions{})
	if err == nil && claim.Status.Phase != corev1.ClaimBound {
		err = fmt.Errorf("the claim is %s", claim.Status.Phase)
	}
	return err
}

func (c cluster) hasLoadBalancers(ctx context.Context) error {
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "lb"},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, Ports: []corev1.ServicePort{{Port: 80}}},
	}
	services := c.CoreV1().Services(metav1.NamespaceDefault)
	if _, err := services.Create(ctx, service, metav1.CreateOptions{}); err != nil {
		return err
	}
	ingress := &networkingv1.Ingress{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec: networkingv1.IngressSpec{DefaultBackend: &networkingv1.IngressBackend{
			Service: &networkingv1.IngressServiceBackend{Name: "lb", Port: networkingv1.ServiceBackendPort{Number: 80}},
		}},
	}
	ingresses := c.NetworkingV1().Ingresses(metav1.NamespaceDefault)
	if _, err := ingresses.Create(ctx, ingress, metav1.CreateOptions{}); err != nil {
		return err
	}
	return eventually(ctx, func(ctx context.Context) error {
		service, serviceErr := services.Get(ctx, "lb", metav1.GetOptions{})
		ingress, ingressErr := ingresses.Get(ctx, "web", metav1.GetOptions{})
		if err := errors.Join(serviceErr, ingressErr); err != nil {
			return err
		}
		if s, i := len(service.Status.LoadBalancer.Ingress), len(ingress.Status.LoadBalancer.Ingress); s != 1 || i != 1 {
			return fmt.Errorf("the service has %d addresses, the ingress %d", s, i)
		}
		return nil
	})
}

func (c cluster) failsToPull(ctx context.Context) error {
	if err := c.createDeployment(ctx, "broken", "example.org/nonexistent", 1); err != nil {
		return err
	}
	err := eventually(ctx, func(ctx context.Context) error {
		pods, err := c.podsOf(ctx, "broken")
		if err == nil && (len(pods) != 1 || pods[0].Spec.NodeName == "") {
			err = errors.New("its pod is not scheduled")
		}
		return err
	})
	if err != nil {
		return err
	}
	// A pod that is scheduled later gets ready, so this one had its chance.
	if err := c.createDeployment(ctx, "after", "nginx", 1); err != nil {
		return err
	}
	if err := c.awaitAvailable(ctx, "after", 1); err != nil {
		return err
	}
	d, err := c.AppsV1().Deployments(metav1.NamespaceDefault).Get(ctx, "broken", metav1.GetOptions{})
	if err == nil && d.Status.AvailableReplicas != 0 {
		err = fmt.Errorf("%d replicas are available", d.Status.AvailableReplicas)
	}
	return err
}

func (c cluster) completesJobs(ctx context.Context) error {
	return c.runJob(ctx, "succeeds", batchv1.JobComplete, "true")
}

func (c cluster) failsJobs(ctx context.Context) error {
	return c.runJob(ctx, "fails", batchv1.JobFailed, "sh", "-c", "exit 1")
}

// runJob runs a job and waits until it ends with the condition want.
func (c cluster) runJob(ctx context.Context, name string, want batchv1.JobConditionType, command ...string) error {
	job := &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: batchv1.JobSpec{
			BackoffLimit: ptr.To[int32](0),
			Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
				RestartPolicy: corev1.RestartPolicyNever,
				Containers:    []corev1.Container{{Name: "main", Image: "busybox", Command: command}},
			}},
		},
	}
	jobs := c.BatchV1().Jobs(metav1.NamespaceDefault)
	if _, err := jobs.Create(ctx, job, metav1.CreateOptions{}); err != nil {
		return err
	}
	return eventually(ctx, func(ctx context.Context) error {
		job, err := jobs.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		for _, condition := range job.Status.Conditions {
			if condition.Type == want && condition.Status == corev1.ConditionTrue {
				return nil
			}
		}
		return fmt.Errorf("it is not %s: %v", want, job.Status.Conditions)
	})
}

// runsOnAddedNodes runs a pod for which only the added node has the resource.
func (c cluster) runsOnAddedNodes(ctx context.Context) error {
	taint := corev1.Taint{Key: "special", Effect: corev1.TaintEffectNoSchedule}
	gpu := corev1.ResourceList{"example.com/gpu": resource.MustParse("1")}
	if err := c.member.AddNodes(ctx, testbed.NodeConfig{Name: "special-0", Taints: []corev1.Taint{taint}, Allocatable: gpu}); err != nil {
		return err
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "special"}, Spec: podTemplate("special", "nginx").Spec}
	pod.Spec.Tolerations = []corev1.Toleration{{Key: taint.Key, Operator: corev1.TolerationOpExists}}
	pod.Spec.Containers[0].Resources = corev1.ResourceRequirements{Requests: gpu, Limits: gpu}
	pods := c.CoreV1().Pods(metav1.NamespaceDefault)
	if _, err := pods.Create(ctx, pod, metav1.CreateOptions{}); err != nil {
		return err
	}
	return eventually(ctx, func(ctx context.Context) error {
		pod, err := pods.Get(ctx, "special", metav1.GetOptions{})
		if err == nil && (pod.Status.Phase != corev1.PodRunning || pod.Spec.NodeName != "special-0") {
			err = fmt.Errorf("the pod is %s on node %q", pod.Status.Phase, pod.Spec.NodeName)
		}
		return err
	})
}

func (c cluster) hangsWhilePaused(ctx context.Context) error {
	if err := c.member.APIServer.Pause(); err != nil {
		return err
	}
	short, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if err := c.ready(short); !errors.Is(err, context.DeadlineExceeded) {
		return errors.Join(errors.New("while paused it answers"), err)
	}
	if err := c.member.APIServer.Resume(); err != nil {
		return err
	}
	return eventually(ctx, c.ready)
}

func (c cluster) survivesKill(ctx context.Context) error {
	before := c.member.Scheduler.PID()
	for _, p := range []*testbed.Process{c.bed.Etcd(), c.member.APIServer, c.member.Kwok} {
		if err := p.Kill(ctx); err != nil {
			return err
		}
	}
	if err := c.ready(ctx); err == nil {
		return errors.New("a killed API server answers")
	}
	if _, err := c.bed.StartMember(ctx, c.member.Config()); err != nil {
		return err
	}
	if now := c.member.Scheduler.PID(); now != before {
		return fmt.Errorf("the scheduler was process %d and is %d", before, now)
	}
	if err := c.awaitAvailable(ctx, "web", 2*nodes); err != nil {
		return err
	}
	if err := c.createDeployment(ctx, "again", "nginx", 2); err != nil {
		return err
	}
	return c.awaitAvailable(ctx, "again", 2)
}

func (c cluster) ready(ctx context.Context) error {
	_, err := c.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx)
	return err
}

func (c cluster) podsOf(ctx context.Context, app string) ([]corev1.Pod, error) {
	pods, err := c.CoreV1().Pods(metav1.NamespaceDefault).List(ctx, metav1.ListOptions{LabelSelector: "app=" + app})
	if err != nil {
		return nil, err
	}
	return pods.Items, nil
}

func (c cluster) createDeployment(ctx context.Context, name, image string, replicas int32) error {
	d := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas,
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": name}},
			Template: podTemplate(name, image),
		},
	}
	_, err := c.AppsV1().Deployments(metav1.NamespaceDefault).Create(ctx, d, metav1.CreateOptions{})
	return err
}

func (c cluster) awaitAvailable(ctx context.Context, deployment string, replicas int32) error {
	return eventually(ctx, func(ctx context.Context) error {
		d, err := c.AppsV1().Deployments(metav1.NamespaceDefault).Get(ctx, deployment, metav1.GetOptions{})
		if err == nil && d.Status.AvailableReplicas != replicas {
			err = fmt.Errorf("%d of %d replicas of %s are available", d.Status.AvailableReplicas, replicas, deployment)
		}
		return err
	})
}

func podTemplate(app, image string) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": app}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: image}}},
	}
}

// eventually returns nil once check does, or its last error when time is up.
func eventually(ctx context.Context, check func(context.Context) error) error {
	last := errors.New("never checked")
	err := wait.PollUntilContextTimeout(ctx, interval, timeout, true, func(ctx context.Context) (bool, error) {
		last = check(ctx)
		return last == nil, nil
	})
	if err != nil {
		return last
	}
	return nil
}

// TestMemberThatDialsOut starts a member in a network of its own.
func TestMemberThatDialsOut(t *testing.T) {
	c := startMember(t, testbed.MemberConfig{Name: "member1", Nodes: nodes, DialsOut: true})
	for _, tc := range []struct {
		name   string
		reason string
		check  func(context.Context) error
	}{
		{"Deployment", "it is a cluster like any other", c.runsDeployments},
		{"Logs", "its API server reaches its kubelets", c.servesLogs},
		{"Unreachable", "nothing listens for it outside but the way in of tests", c.cannotBeDialled},
		{"Killed", "with a new network everything in it starts anew, with its data", c.survivesLossOfNetwork},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if err := tc.check(t.Context()); err != nil {
				t.Errorf("%s: %v", tc.reason, err)
			}
		})
	}
}

// cannotBeDialled dials the ports that the member's processes listen on.
func (c cluster) cannotBeDialled(ctx context.Context) error {
	var open []string
	for _, port := range testbed.InnerPorts(c.member) {
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		connection, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		if err == nil {
			open = append(open, address)
			err = connection.Close()
		}
		if err != nil && !errors.Is(err, syscall.ECONNREFUSED) {
			return err
		}
	}
	if len(open) > 0 {
		return fmt.Errorf("somebody listens on %v", open)
	}
	return nil
}

func (c cluster) survivesLossOfNetwork(ctx context.Context) error {
	before := c.member.APIServer.PID()
	if err := c.member.Processes()[0].Kill(ctx); err != nil {
		return err
	}
	if _, err := c.bed.StartMember(ctx, c.member.Config()); err != nil {
		return err
	}
	if c.member.APIServer.PID() == before {
		return errors.New("the API server is in a network that is lost")
	}
	return c.awaitAvailable(ctx, "web", 2*nodes)
}
