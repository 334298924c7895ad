// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package manager

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/scale"
	"k8s.io/client-go/tools/cache"
	"k8s.io/controller-manager/pkg/informerfactory"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/controller/disruption"
	"k8s.io/kubernetes/pkg/controller/podautoscaler"
	"k8s.io/kubernetes/pkg/controller/podautoscaler/metrics"
	resourceclient "k8s.io/metrics/pkg/client/clientset/versioned/typed/metrics/v1beta1"
	"k8s.io/metrics/pkg/client/custom_metrics"
	"k8s.io/metrics/pkg/client/external_metrics"

	"fleet.dev/fleet/pkg/apis/wellknown"
)

// buildAgain is how long it takes until a controller that could not be built is tried
// again.
const buildAgain = 5 * time.Second

// counting is what controllers share that count the Pods of members as well. They act
// as wellknown.UserCounting: the controller manager's own user sees what is stored only,
// so that garbage collection and the deletion of namespaces leave members alone.
//
// Following Pods keeps all of them in memory. So these controllers are built when there is
// first something for one of them to do, see fromTheFirst, and have one informer together.
// It starts when all of them are built: some of upstream cannot be built over one that runs.
type counting struct {
	config    *rest.Config
	client    kubernetes.Interface
	informers informers.SharedInformerFactory

	// found is closed by find, once there is something to do.
	found chan struct{}
	find  func()
	// unbuilt are the controllers that are to be built.
	unbuilt sync.WaitGroup
}

func newCounting(config *rest.Config, resync time.Duration) (*counting, error) {
	config = rest.CopyConfig(config)
	config.Impersonate = rest.ImpersonationConfig{UserName: wellknown.UserCounting}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make the client of the counting controllers: %w", err)
	}
	c := &counting{
		config: config, client: client, found: make(chan struct{}),
		informers: informers.NewSharedInformerFactoryWithOptions(client, resync, informers.WithTransform(trimPod)),
	}
	c.find = sync.OnceFunc(func() { close(c.found) })
	return c, nil
}

// trimPod drops what does not count of a Pod. Metadata stays: a controller that updates the
// status of a Pod writes that back.
func trimPod(object any) (any, error) {
	pod, ok := object.(*corev1.Pod)
	if !ok {
		return object, nil
	}
	pod.ManagedFields = nil
	pod.Spec.Volumes = nil
	for _, containers := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range containers {
			c := &containers[i]
			containers[i] = corev1.Container{Name: c.Name, Resources: c.Resources, ResizePolicy: c.ResizePolicy, RestartPolicy: c.RestartPolicy}
		}
	}
	return pod, nil
}

// fromTheFirst returns a loop that builds and runs another one from when there is an
// object of an informer, of this controller or of another one that counts.
func (d *dependencies) fromTheFirst(first cache.SharedIndexInformer, build func(context.Context) (loop, error)) (loop, error) {
	c := d.counting
	if _, err := first.AddEventHandler(cache.ResourceEventHandlerFuncs{AddFunc: func(any) { c.find() }}); err != nil {
		return nil, err
	}
	c.unbuilt.Add(1)
	return func(ctx context.Context) {
		select {
		case <-c.found:
		case <-ctx.Done():
		}
		run := buildPatiently(ctx, build)
		c.unbuilt.Done()
		c.unbuilt.Wait()
		if run == nil {
			return
		}
		d.informers.Start(ctx.Done())
		c.informers.Start(ctx.Done())
		run(ctx)
	}, nil
}

// buildPatiently tries to build until that succeeds. It returns nil when the context ended.
func buildPatiently(ctx context.Context, build func(context.Context) (loop, error)) (run loop) {
	err := wait.PollUntilContextCancel(ctx, buildAgain, true, func(ctx context.Context) (done bool, err error) {
		if run, err = build(ctx); err != nil {
			klog.FromContext(ctx).Error(err, "Controller cannot be built yet")
		}
		return err == nil, nil
	})
	if err != nil {
		return nil
	}
	return run
}

// countingFactory is a factory whose Pods are those of members, too.
type countingFactory struct {
	informerfactory.InformerFactory

	counting *counting
}

// ForResource implements informerfactory.InformerFactory.
func (f countingFactory) ForResource(resource schema.GroupVersionResource) (informers.GenericInformer, error) {
	if resource == corev1.SchemeGroupVersion.WithResource("pods") {
		return f.counting.informers.ForResource(resource)
	}
	return f.InformerFactory.ForResource(resource)
}

// Start implements informerfactory.InformerFactory.
func (f countingFactory) Start(stop <-chan struct{}) {
	f.InformerFactory.Start(stop)
	f.counting.informers.Start(stop)
}

// scales returns a client of the subresource scale.
func (c *counting) scales(d *dependencies) (scale.ScalesGetter, error) {
	kinds := scale.NewDiscoveryScaleKindResolver(c.client.Discovery())
	client, err := scale.NewForConfig(c.config, d.mapper, dynamic.LegacyAPIPathResolverFunc, kinds)
	if err != nil {
		return nil, fmt.Errorf("make the client of scales: %w", err)
	}
	return client, nil
}

// newDisruption says how many Pods may be disrupted for PodDisruptionBudgets.
func newDisruption(_ context.Context, d *dependencies) (loop, error) {
	return d.fromTheFirst(d.informers.typed.Policy().V1().PodDisruptionBudgets().Informer(), d.disruption)
}

func (d *dependencies) disruption(ctx context.Context) (loop, error) {
	scales, err := d.counting.scales(d)
	if err != nil {
		return nil, err
	}
	typed := d.informers.typed
	return disruption.NewDisruptionController(ctx, d.counting.informers.Core().V1().Pods(), typed.Policy().V1().PodDisruptionBudgets(),
		typed.Core().V1().ReplicationControllers(), typed.Apps().V1().ReplicaSets(), typed.Apps().V1().Deployments(), typed.Apps().V1().StatefulSets(),
		d.counting.client, d.mapper, scales, d.counting.client.Discovery()).Run, nil
}

// newAutoscaler scales for HorizontalPodAutoscalers.
func newAutoscaler(_ context.Context, d *dependencies) (loop, error) {
	d.placingSynced() // they start with the others
	autoscalers := d.informers.typed.Autoscaling().V2().HorizontalPodAutoscalers().Informer()
	// An informer that runs already cannot be told to resync more often.
	period := d.kube.HPAController.HorizontalPodAutoscalerSyncPeriod.Duration
	if _, err := autoscalers.AddEventHandlerWithResyncPeriod(cache.ResourceEventHandlerFuncs{}, period); err != nil {
		return nil, err
	}
	return d.fromTheFirst(autoscalers, d.autoscaler)
}

// placingSynced says whether the informers have all that placed reads.
func (d *dependencies) placingSynced() []cache.InformerSynced {
	return []cache.InformerSynced{
		d.fleetInformers.Work().V1alpha1().ResourceBindings().Informer().HasSynced,
		d.fleetInformers.Cluster().V1alpha1().Clusters().Informer().HasSynced,
		d.informers.typed.Apps().V1().ReplicaSets().Informer().HasSynced,
	}
}

func (d *dependencies) autoscaler(ctx context.Context) (loop, error) {
	scales, err := d.counting.scales(d)
	if err != nil {
		return nil, err
	}
	resources, err := resourceclient.NewForConfig(d.counting.config)
	if err != nil {
		return nil, fmt.Errorf("make the client of metrics: %w", err)
	}
	external, err := external_metrics.NewForConfig(d.counting.config)
	if err != nil {
		return nil, fmt.Errorf("make the client of external metrics: %w", err)
	}
	versions := custom_metrics.NewAvailableAPIsGetter(d.counting.client.Discovery())
	client := metrics.NewRESTMetricsClient(resources, custom_metrics.NewForConfig(d.counting.config, d.mapper, versions), external)
	bindings := d.fleetInformers.Work().V1alpha1().ResourceBindings()
	if !cache.WaitForCacheSync(ctx.Done(), d.placingSynced()...) {
		return nil, ctx.Err()
	}
	pods := d.counting.informers.Core().V1().Pods()
	placed := placed{d.fleetInformers.Cluster().V1alpha1().Clusters().Lister(), bindings.Lister(), d.informers.typed.Apps().V1().ReplicaSets().Lister()}
	config := d.kube.HPAController
	period := config.HorizontalPodAutoscalerSyncPeriod.Duration
	controller := podautoscaler.NewHorizontalController(ctx, d.counting.client.CoreV1(), scales, d.counting.client.AutoscalingV2(), d.mapper,
		autoscaledMetrics{client, pods.Lister(), placed},
		ownAutoscalers{d.informers.typed.Autoscaling().V2().HorizontalPodAutoscalers(), bindings.Lister()}, autoscaledPods{pods, placed},
		period, config.HorizontalPodAutoscalerDownscaleStabilizationWindow.Duration, config.HorizontalPodAutoscalerTolerance,
		config.HorizontalPodAutoscalerCPUInitializationPeriod.Duration, config.HorizontalPodAutoscalerInitialReadinessDelay.Duration)
	return together(
		func(ctx context.Context) { custom_metrics.PeriodicallyInvalidate(versions, period, ctx.Done()) },
		func(ctx context.Context) { controller.Run(ctx, int(config.ConcurrentHorizontalPodAutoscalerSyncs)) },
	), nil
}
