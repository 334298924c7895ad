// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package projection

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"fleet.dev/fleet/pkg/apis/wellknown"
	"fleet.dev/fleet/pkg/revision"
)

// Workloads are the owners of Pods, and records that Events are about: the fleet's workloads, which have the names of
// those in members, and for ReplicaSets of Deployments the fleet's record of the same
// Pod template (see package revision).
type Workloads struct {
	// Client reads the fleet. It is set before Follow is called.
	Client metadata.Interface

	informers atomic.Pointer[map[schema.GroupVersionKind]cache.SharedIndexInformer]

	mu   sync.Mutex
	told []func(key string) // guarded by mu
}

var _ Owners = &Workloads{}

// owningKinds are the kinds whose controllers make Pods, with what they are served as.
var owningKinds = map[schema.GroupVersionKind]schema.GroupVersionResource{
	appsv1.SchemeGroupVersion.WithKind("DaemonSet"): appsv1.SchemeGroupVersion.WithResource("daemonsets"),
	replicaSetKind: appsv1.SchemeGroupVersion.WithResource("replicasets"),
	corev1.SchemeGroupVersion.WithKind("ReplicationController"): corev1.SchemeGroupVersion.WithResource("replicationcontrollers"),
	appsv1.SchemeGroupVersion.WithKind("StatefulSet"):           appsv1.SchemeGroupVersion.WithResource("statefulsets"),
	batchv1.SchemeGroupVersion.WithKind("Job"):                  batchv1.SchemeGroupVersion.WithResource("jobs"),
}

var replicaSetKind = appsv1.SchemeGroupVersion.WithKind("ReplicaSet")

// byOwnerKey is the index of owners by their key.
const byOwnerKey = "owner"

// podOwner is the key of who controls a Pod. A ReplicaSet that a Deployment made is known by the end of its
// name, which is in a label of its Pods; the stamp says which Pod template it is.
func podOwner(object runtime.Object) string {
	pod, ok := object.(*corev1.Pod)
	if !ok {
		return ""
	}
	owner := metav1.GetControllerOfNoCopy(pod)
	if owner == nil {
		return ""
	}
	kind := schema.FromAPIVersionAndKind(owner.APIVersion, owner.Kind)
	if _, ok := owningKinds[kind]; !ok {
		return ""
	}
	labels := pod.Labels
	if hash := labels[appsv1.DefaultDeploymentUniqueLabelKey]; hash != "" && kind == replicaSetKind {
		if deployment, ok := strings.CutSuffix(owner.Name, "-"+hash); ok {
			return revisionKey(pod.Namespace, deployment, labels[wellknown.LabelTemplate])
		}
	}
	return workloadKey(kind, pod.Namespace, owner.Name)
}

func workloadKey(kind schema.GroupVersionKind, namespace, name string) string {
	return kind.Kind + "/" + namespace + "/" + name
}

func revisionKey(namespace, deployment, stamp string) string {
	return "revision/" + namespace + "/" + deployment + "/" + stamp
}

// recordKey is the key of the record of a Pod template by its name.
func recordKey(namespace, name string) string { return "record/" + namespace + "/" + name }

// keysOf are the keys of an owner.
func keysOf(kind schema.GroupVersionKind, owner metav1.Object) []string {
	if stamp, ok := owner.GetLabels()[wellknown.LabelRevision]; ok {
		return []string{
			revisionKey(owner.GetNamespace(), revision.DeploymentOf(owner), stamp),
			recordKey(owner.GetNamespace(), owner.GetName()),
		}
	}
	return []string{workloadKey(kind, owner.GetNamespace(), owner.GetName())}
}

// Owner implements Owners. Of several records of one Pod template, which there are only
// after a collision of names, it is the newest.
func (w *Workloads) Owner(key string) (Owner, bool) {
	informers := w.informers.Load()
	if informers == nil {
		return Owner{}, false
	}
	var found *metav1.PartialObjectMetadata
	var kind schema.GroupVersionKind
	for of, informer := range *informers {
		objects, err := informer.GetIndexer().ByIndex(byOwnerKey, key)
		if err != nil {
			continue // there is the index
		}
		for _, object := range objects {
			owner, ok := object.(*metav1.PartialObjectMetadata)
			if ok && (found == nil || found.CreationTimestamp.Before(&owner.CreationTimestamp)) {
				found, kind = owner, of
			}
		}
	}
	if found == nil {
		return Owner{}, false
	}
	owner := Owner{Reference: metav1.OwnerReference{
		APIVersion: kind.GroupVersion().String(), Kind: kind.Kind, Name: found.Name, UID: found.UID,
		Controller: new(true), BlockOwnerDeletion: new(true),
	}}
	if _, ok := found.Labels[wellknown.LabelRevision]; ok {
		owner.Labels = map[string]string{appsv1.DefaultDeploymentUniqueLabelKey: found.Labels[appsv1.DefaultDeploymentUniqueLabelKey]}
	}
	if kind.Kind == "Job" {
		// Each member makes its own, from the uid that its Job has there.
		owner.Labels = map[string]string{batchv1.ControllerUidLabel: string(found.UID), legacyControllerUID: string(found.UID)}
	}
	return owner, true
}

// legacyControllerUID is batchv1.ControllerUidLabel as it was before it had a prefix.
const legacyControllerUID = "controller-uid"

// Follow implements Owners.
func (w *Workloads) Follow(ctx context.Context, changed func(key string)) {
	w.mu.Lock()
	w.told = append(w.told, changed)
	first := len(w.told) == 1
	w.mu.Unlock()
	if first {
		w.follow(ctx)
		return
	}
	<-ctx.Done()
}

// tell tells of keys whose owner may have changed.
func (w *Workloads) tell(keys []string) {
	w.mu.Lock()
	told := slices.Clone(w.told)
	w.mu.Unlock()
	for _, changed := range told {
		for _, key := range keys {
			changed(key)
		}
	}
}

// follow follows the fleet's workloads.
func (w *Workloads) follow(ctx context.Context) {
	factory := metadatainformer.NewSharedInformerFactoryWithOptions(w.Client, 0, metadatainformer.WithTransform(trimOwner))
	informers := map[schema.GroupVersionKind]cache.SharedIndexInformer{}
	for kind, resource := range owningKinds {
		keys := func(object any) []string {
			owner, ok := object.(metav1.Object)
			if !ok {
				return nil
			}
			return keysOf(kind, owner)
		}
		see := func(object any) { w.tell(keys(object)) }
		informer := factory.ForResource(resource).Informer()
		err := informer.AddIndexers(cache.Indexers{byOwnerKey: func(object any) ([]string, error) { return keys(object), nil }})
		if err == nil {
			_, err = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{AddFunc: see, UpdateFunc: func(before, after any) {
				if !equality.Semantic.DeepEqual(shownOf(before), shownOf(after)) {
					see(after)
				}
			}})
		}
		if err != nil {
			klog.FromContext(ctx).Error(err, "Owners are not shown", "kind", kind.Kind)
			continue
		}
		informers[kind] = informer
	}
	w.informers.Store(&informers)
	factory.Start(ctx.Done())
	<-ctx.Done()
	factory.Shutdown()
}

// shownOf is what of an owner matters to what it owns.
func shownOf(object any) metav1.ObjectMeta {
	owner, ok := object.(*metav1.PartialObjectMetadata)
	if !ok {
		return metav1.ObjectMeta{}
	}
	return metav1.ObjectMeta{UID: owner.UID, Labels: owner.Labels, OwnerReferences: owner.OwnerReferences}
}

// trimOwner keeps of an owner what is shown of it.
func trimOwner(object any) (any, error) {
	owner, ok := object.(*metav1.PartialObjectMetadata)
	if !ok {
		return object, nil
	}
	trimmed := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
		Namespace: owner.Namespace, Name: owner.Name, UID: owner.UID, ResourceVersion: owner.ResourceVersion, CreationTimestamp: owner.CreationTimestamp,
	}}
	if stamp, ok := owner.Labels[wellknown.LabelRevision]; ok {
		hash := appsv1.DefaultDeploymentUniqueLabelKey
		trimmed.Labels = map[string]string{wellknown.LabelRevision: stamp, hash: owner.Labels[hash]}
		trimmed.OwnerReferences = owner.OwnerReferences
	}
	return trimmed, nil
}
