// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package register

import (
	"fmt"
	"io"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"

	"fleet.dev/fleet/cmd/fleet/join"
	"fleet.dev/fleet/pkg/apis/wellknown"
)

const (
	// healthPort is where the agent serves health and metrics.
	healthPort = 10359
	// program is the agent in its image.
	program = "/syncer"
)

// DefaultImage is the image of the agent of this version.
func DefaultImage() string { return "fleet-agent:" + wellknown.Version }

// Installation is an agent to be installed.
type Installation struct {
	// Cluster is the name of the member in the fleet.
	Cluster string
	// Fleet it joins.
	Fleet *Fleet
	// Image of the agent.
	Image string
}

// Manifest writes all objects of the installation as YAML. It holds the bootstrap
// token.
func (i Installation) Manifest(out io.Writer) error {
	secret, err := i.secret()
	if err != nil {
		return err
	}
	objects := []runtime.Object{namespace(), i.role(), binding(), projectionRole(), projectionBinding(), account(), secret, i.deployment()}
	for n, object := range objects {
		bare, err := bared(object)
		if err != nil {
			return err
		}
		text, err := yaml.Marshal(bare.Object)
		if err != nil {
			return fmt.Errorf("encode %s %q: %w", bare.GetKind(), bare.GetName(), err)
		}
		if n > 0 {
			text = append([]byte("---\n"), text...)
		}
		if _, err := out.Write(text); err != nil {
			return fmt.Errorf("write the manifest: %w", err)
		}
	}
	return nil
}

// bared is an object as a user would write it: with its kind, without what the
// server fills in.
func bared(object runtime.Object) (*unstructured.Unstructured, error) {
	kinds, _, err := scheme.Scheme.ObjectKinds(object)
	if err != nil {
		return nil, fmt.Errorf("find the kind of %T: %w", object, err)
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		return nil, fmt.Errorf("convert %T: %w", object, err)
	}
	bare := &unstructured.Unstructured{Object: content}
	bare.SetGroupVersionKind(kinds[0])
	unstructured.RemoveNestedField(content, "status")
	unstructured.RemoveNestedField(content, "metadata", "creationTimestamp")
	unstructured.RemoveNestedField(content, "spec", "template", "metadata", "creationTimestamp")
	if spec, ok := content["spec"].(map[string]any); ok && len(spec) == 0 {
		delete(content, "spec")
	}
	return bare, nil
}

func labels() map[string]string {
	return map[string]string{wellknown.LabelApp: wellknown.AgentName}
}

func clusterMeta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, Labels: labels()}
}

func meta() metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: wellknown.NamespaceSystem, Name: wellknown.AgentName, Labels: labels()}
}

func namespace() *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: clusterMeta(wellknown.NamespaceSystem)}
}

// role owns the rest of the installation. What it allows is what the push syncer
// may do, and to impersonate: requests of the fleet's users are passed on as theirs.
func (i Installation) role() *rbacv1.ClusterRole {
	role := &rbacv1.ClusterRole{ObjectMeta: clusterMeta(wellknown.AgentName), Rules: append(join.SyncerRules(), join.ImpersonatorRules()...)}
	role.Annotations = map[string]string{wellknown.AnnotationClusterName: i.Cluster, wellknown.AnnotationFleetCA: i.Fleet.CAHash}
	return role
}

func binding() *rbacv1.ClusterRoleBinding {
	return &rbacv1.ClusterRoleBinding{
		ObjectMeta: clusterMeta(wellknown.AgentName),
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: wellknown.AgentName},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: wellknown.NamespaceSystem, Name: wellknown.AgentName}},
	}
}

// projectionRole is what the fleet's API server may do when it shows what runs in
// the member.
func projectionRole() *rbacv1.ClusterRole {
	return &rbacv1.ClusterRole{ObjectMeta: clusterMeta(wellknown.ProjectionsName), Rules: join.ProjectionRules()}
}

func projectionBinding() *rbacv1.ClusterRoleBinding {
	return &rbacv1.ClusterRoleBinding{
		ObjectMeta: clusterMeta(wellknown.ProjectionsName),
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: wellknown.ProjectionsName},
		Subjects:   []rbacv1.Subject{join.ProjectionSubject()},
	}
}

func account() *corev1.ServiceAccount {
	return &corev1.ServiceAccount{ObjectMeta: meta()}
}

// secret holds what the agent registers with; the agent keeps its credentials
// beside that.
func (i Installation) secret() (*corev1.Secret, error) {
	kubeconfig, err := i.Fleet.Kubeconfig()
	if err != nil {
		return nil, err
	}
	return &corev1.Secret{
		ObjectMeta: meta(), Type: corev1.SecretTypeOpaque,
		Data: map[string][]byte{wellknown.SecretKeyBootstrapKubeconfig: kubeconfig},
	}, nil
}

func (i Installation) deployment() *appsv1.Deployment {
	return &appsv1.Deployment{
		ObjectMeta: meta(),
		Spec: appsv1.DeploymentSpec{
			Replicas: new(int32(1)),
			Selector: &metav1.LabelSelector{MatchLabels: labels()},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels()},
				Spec: corev1.PodSpec{
					ServiceAccountName: wellknown.AgentName,
					SecurityContext: &corev1.PodSecurityContext{
						RunAsNonRoot:   new(true),
						SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
					},
					Containers: []corev1.Container{i.container()},
				},
			},
		},
	}
}

func (i Installation) container() corev1.Container {
	probe := func(path string, failures int32) *corev1.Probe {
		return &corev1.Probe{
			ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{
				Path: path, Port: intstr.FromString("health"), Scheme: corev1.URISchemeHTTPS,
			}},
			PeriodSeconds: 10, TimeoutSeconds: 5, FailureThreshold: failures,
		}
	}
	return corev1.Container{
		Name:    "agent",
		Image:   i.Image,
		Command: []string{program},
		Args:    []string{"--mode=pull", "--cluster=" + i.Cluster},
		Env: []corev1.EnvVar{{
			Name: "POD_NAME", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.name"}},
		}},
		Ports: []corev1.ContainerPort{{Name: "health", ContainerPort: healthPort}},
		Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
			corev1.ResourceCPU: resource.MustParse("50m"), corev1.ResourceMemory: resource.MustParse("64Mi"),
		}},
		LivenessProbe:  probe("/livez", 6),
		ReadinessProbe: probe("/readyz", 3),
		SecurityContext: &corev1.SecurityContext{
			AllowPrivilegeEscalation: new(false),
			ReadOnlyRootFilesystem:   new(true),
			Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		},
	}
}
