// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package rollup

import (
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	deploymentutil "k8s.io/kubernetes/pkg/controller/deployment/util"
)

// RecheckAfter returns when Status would say something else only because time
// passed: when the progress deadline of a Deployment's rollout is exceeded. It is
// given the template and the status that Status returned for it; ok is false when
// there is nothing to wait for.
func RecheckAfter(template *unstructured.Unstructured, status map[string]any, now time.Time) (after time.Duration, ok bool) {
	if template.GroupVersionKind().GroupKind() != appsv1.SchemeGroupVersion.WithKind("Deployment").GroupKind() {
		return 0, false
	}
	object := withoutPodTemplate(template.Object)
	deployment := &appsv1.Deployment{}
	if runtime.DefaultUnstructuredConverter.FromUnstructured(object, deployment) != nil ||
		runtime.DefaultUnstructuredConverter.FromUnstructured(status, &deployment.Status) != nil {
		return 0, false
	}
	progressing := deploymentutil.GetDeploymentCondition(deployment.Status, appsv1.DeploymentProgressing)
	if !deploymentutil.HasProgressDeadline(deployment) || deployment.Spec.Paused ||
		progressing == nil || progressing.Reason != deploymentutil.ReplicaSetUpdatedReason {
		return 0, false
	}
	// A second more, as upstream: times in conditions have no fractions.
	return max(0, progressLeft(deployment, progressing, now)) + time.Second, true
}
