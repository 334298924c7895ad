// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package template

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"fleet.dev/fleet/pkg/apis/wellknown"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/podspec"
	"fleet.dev/fleet/pkg/scheduler/capacity"
)

// TestStays goes through what a fresh fleet and its users store.
func TestStays(t *testing.T) {
	controlled := func(apiVersion, kind string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Namespace: "shop", Name: "x", OwnerReferences: []metav1.OwnerReference{
			{APIVersion: apiVersion, Kind: kind, Name: "owner", Controller: new(true)},
		}}
	}
	byHand := controlled("batch/v1", "CronJob")
	byHand.Annotations = map[string]string{"cronjob.kubernetes.io/instantiate": "manual"}
	in := func(namespace, name string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Namespace: namespace, Name: name}
	}
	labelled := func(namespace, name, key, value string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{key: value}}
	}
	annotated := func(namespace, name, key, value string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Namespace: namespace, Name: name, Annotations: map[string]string{key: value}}
	}
	cases := map[string]struct {
		group, kind string
		meta        metav1.ObjectMeta
		travels     bool
	}{
		"UserConfigMap":         {kind: "ConfigMap", meta: in("shop", "x"), travels: true},
		"RootCertificate":       {kind: "ConfigMap", meta: in("shop", "kube-root-ca.crt")},
		"SystemNamespace":       {kind: "ConfigMap", meta: in("kube-system", "extension-apiserver-authentication")},
		"FleetNamespace":        {kind: "Secret", meta: in("fleet-cluster-m1", "credentials")},
		"Namespace":             {kind: "Namespace", meta: labelled("", "shop", "kubernetes.io/metadata.name", "shop"), travels: true},
		"KubeNamespace":         {kind: "Namespace", meta: in("", "kube-public")},
		"MemberNamespace":       {kind: "Namespace", meta: in("", "fleet-cluster-m1")},
		"DefaultNamespace":      {kind: "Namespace", meta: labelled("", "default", "kubernetes.io/metadata.name", "default")},
		"LabelledDefault":       {kind: "Namespace", meta: labelled("", "default", "pod-security.kubernetes.io/enforce", "baseline"), travels: true},
		"Projected":             {kind: "Pod", meta: labelled("shop", "x", wellknown.LabelCluster, "m1")},
		"BarePod":               {kind: "Pod", meta: in("shop", "x"), travels: true},
		"MirrorPod":             {kind: "Pod", meta: annotated("shop", "x", "kubernetes.io/config.mirror", "y")},
		"PodOfReplicaSet":       {kind: "Pod", meta: controlled("apps/v1", "ReplicaSet")},
		"ReplicaSet":            {group: "apps", kind: "ReplicaSet", meta: in("shop", "x"), travels: true},
		"RevisionOfDeployment":  {group: "apps", kind: "ReplicaSet", meta: controlled("apps/v1", "Deployment")},
		"OrphanedRevision":      {group: "apps", kind: "ReplicaSet", meta: labelled("shop", "x", wellknown.LabelRevision, "abc")},
		"ReplicaSetOfMember":    {group: "apps", kind: "ReplicaSet", meta: labelled("shop", "x", wellknown.LabelTemplate, "abc"), travels: true},
		"Job":                   {group: "batch", kind: "Job", meta: in("shop", "x"), travels: true},
		"JobOfCronJob":          {group: "batch", kind: "Job", meta: controlled("batch/v1", "CronJob")},
		"JobFromCronJob":        {group: "batch", kind: "Job", meta: byHand, travels: true},
		"DeploymentOfOperator":  {group: "apps", kind: "Deployment", meta: controlled("example.com/v1", "Shop"), travels: true},
		"ControllerRevision":    {group: "apps", kind: "ControllerRevision", meta: in("shop", "x")},
		"DefaultServiceAccount": {kind: "ServiceAccount", meta: in("shop", "default")},
		"UserServiceAccount":    {kind: "ServiceAccount", meta: in("shop", "x"), travels: true},
		"UserSecret":            {kind: "Secret", meta: in("shop", "x"), travels: true},
		"HelmRelease":           {kind: "Secret", meta: in("shop", "sh.helm.release.v1.web.v1")},
		"ServiceAccountToken":   {kind: "Secret", meta: annotated("shop", "x", "kubernetes.io/service-account.name", "sa")},
		"UserService":           {kind: "Service", meta: in("default", "web"), travels: true},
		"APIServerService":      {kind: "Service", meta: in("default", "kubernetes")},
		"APIServerEndpoints":    {kind: "Endpoints", meta: in("default", "kubernetes")},
		"ControllerEndpoints":   {kind: "Endpoints", meta: labelled("shop", "web", "endpoints.kubernetes.io/managed-by", "endpoint-controller")},
		"UserEndpoints":         {kind: "Endpoints", meta: in("shop", "external-db"), travels: true},
		"APIServerSlice":        {group: "discovery.k8s.io", kind: "EndpointSlice", meta: in("default", "kubernetes")},
		"ControllerSlice":       {group: "discovery.k8s.io", kind: "EndpointSlice", meta: labelled("shop", "web-1", "endpointslice.kubernetes.io/managed-by", "endpointslice-controller.k8s.io")},
		"UserSlice":             {group: "discovery.k8s.io", kind: "EndpointSlice", meta: labelled("shop", "db-1", "endpointslice.kubernetes.io/managed-by", "staff"), travels: true},
		"Event":                 {kind: "Event", meta: in("shop", "x")},
		"NewEvent":              {group: "events.k8s.io", kind: "Event", meta: in("shop", "x")},
		"Lease":                 {group: "coordination.k8s.io", kind: "Lease", meta: in("shop", "x")},
		"Node":                  {kind: "Node", meta: in("", "x")},
		"BootstrapRole":         {group: "rbac.authorization.k8s.io", kind: "ClusterRole", meta: labelled("", "admin", "kubernetes.io/bootstrapping", "rbac-defaults")},
		"SystemRole":            {group: "rbac.authorization.k8s.io", kind: "ClusterRole", meta: in("", "system:fleet:scheduler")},
		"UserRole":              {group: "rbac.authorization.k8s.io", kind: "ClusterRole", meta: in("", "x"), travels: true},
		"SystemPriorityClass":   {group: "scheduling.k8s.io", kind: "PriorityClass", meta: in("", "system-node-critical")},
		"UserPriorityClass":     {group: "scheduling.k8s.io", kind: "PriorityClass", meta: in("", "high"), travels: true},
		"FlowSchema":            {group: "flowcontrol.apiserver.k8s.io", kind: "FlowSchema", meta: in("", "x")},
		"APIService":            {group: "apiregistration.k8s.io", kind: "APIService", meta: in("", "v1.apps")},
		"Request":               {group: "certificates.k8s.io", kind: "CertificateSigningRequest", meta: in("", "x")},
		"ServiceCIDR":           {group: "networking.k8s.io", kind: "ServiceCIDR", meta: in("", "kubernetes")},
		"IPAddress":             {group: "networking.k8s.io", kind: "IPAddress", meta: in("", "10.0.0.1")},
		"Policy":                {group: "policy.fleet.dev", kind: "ClusterPropagationPolicy", meta: in("", "fleet-default")},
		"Binding":               {group: "work.fleet.dev", kind: "ResourceBinding", meta: in("shop", "x")},
		"Definition":            {group: "apiextensions.k8s.io", kind: "CustomResourceDefinition", meta: in("", "widgets.example.com"), travels: true},
		"FleetDefinition":       {group: "apiextensions.k8s.io", kind: "CustomResourceDefinition", meta: in("", "things.apps.fleet.dev")},
		"CustomResource":        {group: "example.com", kind: "Widget", meta: in("shop", "x"), travels: true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := New(schema.GroupVersionKind{Group: tc.group, Version: "v1", Kind: tc.kind}, &tc.meta, Traits{})
			if travels := got.Stays == ""; travels != tc.travels {
				t.Errorf("New(%s %s): want travels %v, got %v (%s)", tc.kind, tc.meta.Name, tc.travels, travels, got.Stays)
			}
		})
	}
}

func TestRead(t *testing.T) {
	spec := corev1.PodSpec{
		PriorityClassName: "high",
		NodeSelector:      map[string]string{"disk": "ssd"},
		Containers: []corev1.Container{{Name: "c", Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
			corev1.ResourceCPU: resource.MustParse("100m"), corev1.ResourceMemory: resource.MustParse("0"),
		}}}},
		Volumes: []corev1.Volume{
			{Name: "b", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "b"}}},
			{Name: "a", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "a"}}},
			{Name: "a2", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "a"}}},
		},
	}
	pods := map[string]string{"app": "x"}
	template := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: pods}, Spec: spec}
	meta := metav1.ObjectMeta{Namespace: "shop", Name: "x", Labels: pods}
	claims := &Links{Needs: []Key{{Kind: "PersistentVolumeClaim", Namespace: "shop", Name: "a"}, {Kind: "PersistentVolumeClaim", Namespace: "shop", Name: "b"}}}
	workload := func(pods int32, change ...func(*Workload)) *Workload {
		w := &Workload{
			Pods:   pods,
			Claims: []string{"a", "b"},
			Labels: map[string]string{"app": "x"},
			Requirements: &workv1alpha1.ReplicaRequirements{
				NodeClaim:         &workv1alpha1.NodeClaim{NodeSelector: map[string]string{"disk": "ssd"}},
				ResourceRequest:   corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m")},
				Namespace:         "shop",
				PriorityClassName: "high",
			},
		}
		for _, c := range change {
			c(w)
		}
		return w
	}
	replicated := func(w *Workload) { w.Replicated, w.Divisible = true, true }
	divisible := func(w *Workload) { w.Divisible = true }
	finished := func(w *Workload) { w.Finished = true }
	cases := map[string]struct {
		reason string
		kind   schema.GroupVersionKind
		object runtime.Object
		want   Traits
	}{
		"Deployment": {
			reason: "Replicas and what one needs; a request of nothing is none.",
			kind:   appsv1.SchemeGroupVersion.WithKind("Deployment"),
			object: &appsv1.Deployment{ObjectMeta: meta, Spec: appsv1.DeploymentSpec{Replicas: ptr.To[int32](3), Template: template}},
			want:   Traits{Workload: workload(3, replicated), Links: claims},
		},
		"Defaulted": {
			reason: "No number of replicas is one.",
			kind:   appsv1.SchemeGroupVersion.WithKind("StatefulSet"),
			object: &appsv1.StatefulSet{ObjectMeta: meta, Spec: appsv1.StatefulSetSpec{Template: template}},
			want:   Traits{Workload: workload(1, replicated), Links: claims},
		},
		"DaemonSet": {
			reason: "The number of Pods is up to the nodes.",
			kind:   appsv1.SchemeGroupVersion.WithKind("DaemonSet"),
			object: &appsv1.DaemonSet{ObjectMeta: meta, Spec: appsv1.DaemonSetSpec{Template: template}},
			want:   Traits{Workload: workload(0), Links: claims},
		},
		"Job": {
			reason: "A Job that failed ran to its end too.",
			kind:   batchv1.SchemeGroupVersion.WithKind("Job"),
			object: &batchv1.Job{
				ObjectMeta: meta, Spec: batchv1.JobSpec{Parallelism: ptr.To[int32](2), Template: template},
				Status: batchv1.JobStatus{Conditions: []batchv1.JobCondition{{Type: batchv1.JobFailed, Status: corev1.ConditionTrue}}},
			},
			want: Traits{Workload: workload(2, finished, divisible), Links: claims},
		},
		"SuspendedJob": {
			reason: "Other conditions are not the end.",
			kind:   batchv1.SchemeGroupVersion.WithKind("Job"),
			object: &batchv1.Job{
				ObjectMeta: meta, Spec: batchv1.JobSpec{Template: template},
				Status: batchv1.JobStatus{Conditions: []batchv1.JobCondition{{Type: batchv1.JobSuspended, Status: corev1.ConditionTrue}}},
			},
			want: Traits{Workload: workload(1, divisible), Links: claims},
		},
		"IndexedJob": {
			reason: "The indexes of two members would be the same.",
			kind:   batchv1.SchemeGroupVersion.WithKind("Job"),
			object: &batchv1.Job{ObjectMeta: meta, Spec: batchv1.JobSpec{CompletionMode: ptr.To(batchv1.IndexedCompletion), Template: template}},
			want:   Traits{Workload: workload(1), Links: claims},
		},
		"Pod": {
			reason: "A Pod that succeeded ran to its end.",
			kind:   corev1.SchemeGroupVersion.WithKind("Pod"),
			object: &corev1.Pod{ObjectMeta: meta, Spec: spec, Status: corev1.PodStatus{Phase: corev1.PodSucceeded}},
			want:   Traits{Workload: workload(1, finished), Links: claims},
		},
		"MixedSubjects": {
			reason: "One user among the subjects keeps a binding in the fleet.",
			kind:   rbacv1.SchemeGroupVersion.WithKind("RoleBinding"),
			object: &rbacv1.RoleBinding{ObjectMeta: meta, Subjects: []rbacv1.Subject{{Kind: "ServiceAccount"}, {Kind: "User"}}},
			want:   Traits{NamedOnly: true},
		},
		"OtherObject": {
			reason: "An object of another type has no traits.",
			kind:   corev1.SchemeGroupVersion.WithKind("Pod"),
			object: &corev1.Node{},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := KindOf(tc.kind, true, false).Read(tc.object)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("\n%s\nRead(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestNeeds(t *testing.T) {
	spec := corev1.PodSpec{
		ServiceAccountName: "robot",
		ImagePullSecrets:   []corev1.LocalObjectReference{{Name: "pull"}},
		InitContainers: []corev1.Container{{EnvFrom: []corev1.EnvFromSource{
			{ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "env"}}},
			{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "pull"}}},
		}}},
		Volumes: []corev1.Volume{
			{VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "tls"}}},
			{VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
				{ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "ca"}}},
			}}}},
			{VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"}}},
		},
	}
	key := func(kind, name string) Key { return Key{Kind: kind, Namespace: "shop", Name: name} }
	want := []Key{
		key("ConfigMap", "ca"), key("ConfigMap", "env"), key("PersistentVolumeClaim", "data"),
		key("Secret", "pull"), key("Secret", "tls"), key("ServiceAccount", "robot"),
	}
	if diff := cmp.Diff(want, runs("shop", 1, &corev1.PodTemplateSpec{Spec: spec}).Links.Needs); diff != "" {
		t.Errorf("needs: -want, +got:\n%s", diff)
	}
	plain := &corev1.PodTemplateSpec{Spec: corev1.PodSpec{ServiceAccountName: "default"}}
	if got := runs("shop", 1, plain).Links; got != nil {
		t.Errorf("the default service account is everywhere, got %v", got)
	}
}

func TestPodShape(t *testing.T) {
	limits := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("2")}
	term := []corev1.PodAffinityTerm{{TopologyKey: corev1.LabelHostname, LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}}}
	from := corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "web"}},
		Spec: corev1.PodSpec{
			HostNetwork: true,
			Containers: []corev1.Container{{
				Resources: corev1.ResourceRequirements{Limits: limits},
				Ports:     []corev1.ContainerPort{{ContainerPort: 80}},
			}},
			Affinity: &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: term}},
		},
	}
	got := runs("shop", 1, &from).Workload
	if diff := cmp.Diff(limits, got.Requirements.ResourceRequest); diff != "" {
		t.Errorf("what has limits requests them in every member: -want, +got:\n%s", diff)
	}
	want := &capacity.Constraints{
		Limits:    limits,
		HostPorts: []corev1.ContainerPort{{ContainerPort: 80, HostPort: 80}},
		Topology:  []capacity.Rule{{Key: corev1.LabelHostname, Apart: true}},
	}
	if diff := cmp.Diff(want, got.Constraints); diff != "" {
		t.Errorf("constraints: -want, +got:\n%s", diff)
	}
	if from.Spec.Containers[0].Resources.Requests != nil || from.Spec.Containers[0].Ports[0].HostPort != 0 {
		t.Errorf("the template was changed: %+v", from.Spec.Containers)
	}
	apart := *got
	apart.Constraints = nil
	if got.sameDecision(&apart) {
		t.Error("a changed constraint is a reason to decide again")
	}
}

func TestKindOf(t *testing.T) {
	cases := map[string]struct {
		reason     string
		kind       schema.GroupVersionKind
		namespaced bool
		custom     bool
		want       Auto
	}{
		"Deployment":      {reason: "Native workloads are in the table.", kind: appsv1.SchemeGroupVersion.WithKind("Deployment"), namespaced: true, want: AutoDivided},
		"ConfigMap":       {reason: "Namespaced configuration follows the footprint.", kind: corev1.SchemeGroupVersion.WithKind("ConfigMap"), namespaced: true, want: AutoFootprint},
		"StorageClass":    {reason: "Cluster-scoped configuration goes everywhere.", kind: schema.GroupVersionKind{Group: "storage.k8s.io", Version: "v1", Kind: "StorageClass"}, want: AutoEverywhere},
		"CustomResource":  {reason: "A custom resource may have no footprint ever.", kind: schema.GroupVersionKind{Group: "example.com", Version: "v1", Kind: "Widget"}, namespaced: true, custom: true, want: AutoFootprintOrEverywhere},
		"ClusterResource": {reason: "A cluster-scoped one goes everywhere.", kind: schema.GroupVersionKind{Group: "example.com", Version: "v1", Kind: "Widget"}, custom: true, want: AutoEverywhere},
		"Webhook":         {reason: "A webhook refuses everything wherever its Pods are not.", kind: schema.GroupVersionKind{Group: "admissionregistration.k8s.io", Version: "v1", Kind: "ValidatingWebhookConfiguration"}, want: AutoStay},
		"OldAutoscaler":   {reason: "So it does in every version.", kind: schema.GroupVersionKind{Group: "autoscaling", Version: "v1", Kind: "HorizontalPodAutoscaler"}, namespaced: true, want: AutoStay},
		"Autoscaler":      {reason: "An autoscaler in a member takes over from the division.", kind: schema.GroupVersionKind{Group: "autoscaling", Version: "v2", Kind: "HorizontalPodAutoscaler"}, namespaced: true, want: AutoStay},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := KindOf(tc.kind, tc.namespaced, tc.custom).Auto; got != tc.want {
				t.Errorf("\n%s\nKindOf(...): want %s, got %s", tc.reason, tc.want, got)
			}
		})
	}
}

func TestNewKeepsLittle(t *testing.T) {
	meta := &metav1.ObjectMeta{
		Namespace: "shop", Name: "web", UID: "1", ResourceVersion: "7", Generation: 3,
		Labels:        map[string]string{"app": "web"},
		Annotations:   map[string]string{"kubectl.kubernetes.io/last-applied-configuration": "{}", wellknown.AnnotationPlacement: "single"},
		ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "kubectl"}},
		Finalizers:    []string{"x"},
	}
	want := metav1.ObjectMeta{
		Namespace: "shop", Name: "web", UID: "1", ResourceVersion: "7", Generation: 3,
		Labels:      map[string]string{"app": "web"},
		Annotations: map[string]string{wellknown.AnnotationPlacement: "single"},
	}
	got := New(appsv1.SchemeGroupVersion.WithKind("Deployment"), meta, Traits{})
	if diff := cmp.Diff(want, got.ObjectMeta); diff != "" {
		t.Errorf("New(...): -want, +got:\n%s", diff)
	}
}

func TestSameDecision(t *testing.T) {
	base := func(change func(*Template)) *Template {
		t := &Template{
			ObjectMeta: metav1.ObjectMeta{Name: "web", UID: "1", ResourceVersion: "1", Labels: map[string]string{"app": "web"}},
			Workload:   &Workload{Pods: 3, Replicated: true},
		}
		if change != nil {
			change(t)
		}
		return t
	}
	cases := map[string]struct {
		reason string
		change func(*Template)
		want   bool
	}{
		"Nothing":         {reason: "The same.", want: true},
		"ResourceVersion": {reason: "What changed is nothing a decision depends on.", change: func(t *Template) { t.ResourceVersion = "2" }, want: true},
		"Finished":        {reason: "A template that finished stays where it is.", change: func(t *Template) { t.Workload.Finished = true }, want: true},
		"Recreated":       {reason: "Another object of the same name.", change: func(t *Template) { t.UID = types.UID("2") }},
		"Scaled":          {reason: "Replicas are divided.", change: func(t *Template) { t.Workload.Pods = 4 }},
		"Labelled":        {reason: "Policies select by labels.", change: func(t *Template) { t.Labels = map[string]string{"app": "api"} }},
		"Hint":            {reason: "A hint changes the placement.", change: func(t *Template) { t.Annotations = map[string]string{"fleet.dev/placement": "single"} }},
		"Deleted":         {reason: "What is being deleted is not placed.", change: func(t *Template) { now := metav1.Now(); t.DeletionTimestamp = &now }},
		"Claims":          {reason: "Volumes hold Pods.", change: func(t *Template) { t.Workload.Claims = []string{"data"} }},
		"Nodes":           {reason: "The name of a node says which member.", change: func(t *Template) { t.Workload.Nodes = &podspec.Nodes{Bound: "n1.a"} }},
		"NoWorkload":      {reason: "It runs nothing any more.", change: func(t *Template) { t.Workload = nil }},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := base(nil).SameDecision(base(tc.change)); got != tc.want {
				t.Errorf("\n%s\nSameDecision(...): want %v, got %v", tc.reason, tc.want, got)
			}
		})
	}
}

func TestInForeground(t *testing.T) {
	deleted := func(grace int64, finalizers ...string) metav1.ObjectMeta {
		now := metav1.Now()
		return metav1.ObjectMeta{DeletionTimestamp: &now, DeletionGracePeriodSeconds: &grace, Finalizers: finalizers}
	}
	cases := map[string]struct {
		reason string
		object metav1.ObjectMeta
		want   bool
	}{
		"Alive":         {reason: "Nobody deleted it.", object: metav1.ObjectMeta{Finalizers: []string{metav1.FinalizerDeleteDependents}}},
		"Foreground":    {reason: "It waits for what depends on it.", object: deleted(0, metav1.FinalizerDeleteDependents), want: true},
		"OtherReason":   {reason: "Something else holds it, which may want it to run.", object: deleted(0, "example.com/x")},
		"Graceful":      {reason: "A Pod is there until it has ended.", object: deleted(30), want: true},
		"GracefulHeld":  {reason: "A Pod ends first, then its finalizers are for others.", object: deleted(30, "example.com/x"), want: true},
		"GracefulStays": {reason: "Members are not asked to end what they are to keep.", object: deleted(30, metav1.FinalizerOrphanDependents)},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := InForeground(&tc.object); got != tc.want {
				t.Errorf("\n%s\nInForeground(...): want %t, got %t", tc.reason, tc.want, got)
			}
		})
	}
}

func TestKeyOf(t *testing.T) {
	cases := map[string]struct {
		reference workv1alpha1.ObjectReference
		want      Key
	}{
		"Core":  {reference: workv1alpha1.ObjectReference{APIVersion: "v1", Kind: "Secret", Namespace: "shop", Name: "x"}, want: Key{Kind: "Secret", Namespace: "shop", Name: "x"}},
		"Group": {reference: workv1alpha1.ObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "x"}, want: Key{Group: "apps", Kind: "Deployment", Name: "x"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, KeyOf(tc.reference)); diff != "" {
				t.Errorf("KeyOf(...): -want, +got:\n%s", diff)
			}
		})
	}
}
