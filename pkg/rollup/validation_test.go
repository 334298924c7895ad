// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package rollup_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	_ "k8s.io/kubernetes/pkg/apis/apps/install"
	_ "k8s.io/kubernetes/pkg/apis/autoscaling/install"
	_ "k8s.io/kubernetes/pkg/apis/batch/install"
	_ "k8s.io/kubernetes/pkg/apis/core/install"
	_ "k8s.io/kubernetes/pkg/apis/networking/install"
	_ "k8s.io/kubernetes/pkg/apis/policy/install"
	"k8s.io/kubernetes/pkg/registry/apps/daemonset"
	"k8s.io/kubernetes/pkg/registry/apps/deployment"
	"k8s.io/kubernetes/pkg/registry/apps/replicaset"
	"k8s.io/kubernetes/pkg/registry/apps/statefulset"
	"k8s.io/kubernetes/pkg/registry/autoscaling/horizontalpodautoscaler"
	"k8s.io/kubernetes/pkg/registry/batch/cronjob"
	"k8s.io/kubernetes/pkg/registry/batch/job"
	"k8s.io/kubernetes/pkg/registry/core/persistentvolumeclaim"
	"k8s.io/kubernetes/pkg/registry/core/pod"
	"k8s.io/kubernetes/pkg/registry/core/replicationcontroller"
	"k8s.io/kubernetes/pkg/registry/core/service"
	"k8s.io/kubernetes/pkg/registry/networking/ingress"

	"fleet.dev/fleet/pkg/rollup"
)

const podTemplate = "template: {metadata: {labels: {app: x}}, spec: {containers: [{name: c, image: i}]}}"

// A walk goes from one random state of the members to the next; each status must
// be what upstream's API server takes in the place of the one before.
type walk struct {
	strategy rest.RESTUpdateStrategy
	template string
	// status makes a member's next status of its last one, plausible or not.
	status func(r *rand.Rand, last map[string]any) map[string]any
	// edit changes the template's spec now and then.
	edit func(r *rand.Rand, spec map[string]any)
}

var walks = map[string]walk{
	"Deployment": {
		strategy: deployment.StatusStrategy,
		template: "{apiVersion: apps/v1, kind: Deployment, metadata: {name: x, namespace: ns}, spec: {replicas: 4, selector: {matchLabels: {app: x}}, " + podTemplate + "}}",
		status: func(r *rand.Rand, _ map[string]any) map[string]any {
			return map[string]any{
				"replicas": number(r, 6), "updatedReplicas": number(r, 6), "readyReplicas": number(r, 6), "availableReplicas": number(r, 6),
				"unavailableReplicas": number(r, 3), "terminatingReplicas": number(r, 3), "collisionCount": number(r, 3),
				"conditions": conditions(r, []string{"Available", "Progressing", "ReplicaFailure"}, []string{"NewReplicaSetAvailable", "ReplicaSetUpdated", "ProgressDeadlineExceeded"}),
			}
		},
		edit: func(r *rand.Rand, spec map[string]any) {
			spec["replicas"], spec["paused"] = number(r, 6), r.IntN(4) == 0
		},
	},
	"ReplicaSet": {
		strategy: replicaset.StatusStrategy,
		template: "{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: x, namespace: ns}, spec: {replicas: 4, selector: {matchLabels: {app: x}}, " + podTemplate + "}}",
		status: func(r *rand.Rand, _ map[string]any) map[string]any {
			return map[string]any{
				"replicas": number(r, 6), "fullyLabeledReplicas": number(r, 6), "readyReplicas": number(r, 6), "availableReplicas": number(r, 6),
				"terminatingReplicas": number(r, 3), "conditions": conditions(r, []string{"ReplicaFailure"}, []string{"FailedCreate"}),
			}
		},
		edit: func(r *rand.Rand, spec map[string]any) { spec["replicas"] = number(r, 6) },
	},
	"ReplicationController": {
		strategy: replicationcontroller.StatusStrategy,
		template: "{apiVersion: v1, kind: ReplicationController, metadata: {name: x, namespace: ns}, spec: {replicas: 4, selector: {app: x}, " + podTemplate + "}}",
		status: func(r *rand.Rand, _ map[string]any) map[string]any {
			return map[string]any{
				"replicas": number(r, 6), "fullyLabeledReplicas": number(r, 6), "readyReplicas": number(r, 6), "availableReplicas": number(r, 6),
				"conditions": conditions(r, []string{"ReplicaFailure"}, []string{"FailedCreate"}),
			}
		},
		edit: func(r *rand.Rand, spec map[string]any) { spec["replicas"] = number(r, 6) },
	},
	"StatefulSet": {
		strategy: statefulset.StatusStrategy,
		template: "{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: x, namespace: ns}, spec: {replicas: 4, serviceName: x, selector: {matchLabels: {app: x}}, " + podTemplate + "}}",
		status: func(r *rand.Rand, _ map[string]any) map[string]any {
			return map[string]any{
				"replicas": number(r, 6), "readyReplicas": number(r, 6), "currentReplicas": number(r, 6), "updatedReplicas": number(r, 6), "availableReplicas": number(r, 6),
				"currentRevision": fmt.Sprint("x-", r.IntN(3)), "updateRevision": fmt.Sprint("x-", r.IntN(3)), "collisionCount": number(r, 3),
			}
		},
		edit: func(r *rand.Rand, spec map[string]any) { spec["replicas"] = number(r, 6) },
	},
	"DaemonSet": {
		strategy: daemonset.StatusStrategy,
		template: "{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: x, namespace: ns}, spec: {selector: {matchLabels: {app: x}}, " + podTemplate + "}}",
		status: func(r *rand.Rand, _ map[string]any) map[string]any {
			return map[string]any{
				"currentNumberScheduled": number(r, 6), "numberMisscheduled": number(r, 6), "desiredNumberScheduled": number(r, 6), "numberReady": number(r, 6),
				"updatedNumberScheduled": number(r, 6), "numberAvailable": number(r, 6), "numberUnavailable": number(r, 6), "collisionCount": number(r, 3),
			}
		},
	},
	"Job": {
		strategy: job.StatusStrategy,
		template: "{apiVersion: batch/v1, kind: Job, metadata: {name: x, namespace: ns}, spec: {parallelism: 2, completions: 4, " + podTemplate + "}}",
		status:   jobStatus,
		edit:     func(r *rand.Rand, spec map[string]any) { spec["suspend"] = r.IntN(3) == 0 },
	},
	"JobIndexed": {
		strategy: job.StatusStrategy,
		template: "{apiVersion: batch/v1, kind: Job, metadata: {name: x, namespace: ns}, spec: {parallelism: 4, completions: 4, completionMode: Indexed, backoffLimitPerIndex: 1, " + podTemplate + "}}",
		status:   jobStatus,
	},
	"CronJob": {
		strategy: cronjob.StatusStrategy,
		template: "{apiVersion: batch/v1, kind: CronJob, metadata: {name: x, namespace: ns}, spec: {schedule: '* * * * *', jobTemplate: {spec: {" + podTemplate + "}}}}",
		status: func(r *rand.Rand, _ map[string]any) map[string]any {
			return map[string]any{"active": []any{map[string]any{"name": fmt.Sprint("x-", r.IntN(9))}}, "lastScheduleTime": moment(r)}
		},
	},
	"Service": {
		strategy: service.StatusStrategy,
		template: "{apiVersion: v1, kind: Service, metadata: {name: x, namespace: ns}, spec: {type: LoadBalancer, clusterIP: 10.0.0.1, ports: [{port: 80}]}}",
		status:   loadBalancer,
		edit: func(r *rand.Rand, spec map[string]any) {
			spec["type"] = []string{"LoadBalancer", "ClusterIP", "NodePort"}[r.IntN(3)]
		},
	},
	"Ingress": {
		strategy: ingress.StatusStrategy,
		template: "{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: x, namespace: ns}, spec: {defaultBackend: {service: {name: s, port: {number: 80}}}}}",
		status: func(r *rand.Rand, last map[string]any) map[string]any {
			status := loadBalancer(r, last)
			for _, address := range status["loadBalancer"].(map[string]any)["ingress"].([]any) {
				delete(address.(map[string]any), "ipMode")
			}
			return status
		},
	},
	"PersistentVolumeClaim": {
		strategy: persistentvolumeclaim.StatusStrategy,
		template: "{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: x, namespace: ns}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}",
		status: func(r *rand.Rand, _ map[string]any) map[string]any {
			return map[string]any{
				"phase": []string{"Pending", "Bound", "Bound", "Lost"}[r.IntN(4)], "accessModes": []any{"ReadWriteOnce"},
				"capacity": map[string]any{"storage": fmt.Sprintf("%dGi", 1+r.IntN(3))},
			}
		},
	},
	"HorizontalPodAutoscaler": {
		strategy: horizontalpodautoscaler.StatusStrategy,
		template: "{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {name: x, namespace: ns}, spec: {minReplicas: 1, maxReplicas: 3, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: x}, " +
			"metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 80}}}]}}",
		status: func(r *rand.Rand, _ map[string]any) map[string]any {
			return map[string]any{
				"currentReplicas": number(r, 6), "desiredReplicas": number(r, 6),
				"conditions": []any{map[string]any{"type": "AbleToScale", "status": []any{"True", "False"}[r.IntN(2)], "reason": "X"}},
			}
		},
	},
}

func TestStatusPassesUpstreamValidation(t *testing.T) {
	const walksPerKind, steps = 40, 25
	for name, w := range walks {
		t.Run(name, func(t *testing.T) {
			finished := 0
			for seed := range walksPerKind {
				finished += w.take(t, uint64(seed), steps)
			}
			if w.strategy == rest.RESTUpdateStrategy(job.StatusStrategy) && (finished == 0 || finished == walksPerKind) {
				t.Errorf("walks that finish and walks that do not must both occur: %d of %d finished", finished, walksPerKind)
			}
		})
	}
}

// TestPodStatusPassesUpstreamValidation follows a bare Pod through its life in one
// member.
func TestPodStatusPassesUpstreamValidation(t *testing.T) {
	w := walk{strategy: pod.StatusStrategy}
	template := object(t, "{apiVersion: v1, kind: Pod, metadata: {name: x, namespace: ns, uid: u, resourceVersion: '1', generation: 1}, spec: {restartPolicy: Never, containers: [{name: c, image: i}]}, status: {phase: Pending, qosClass: Burstable}}")
	const node = "hostIP: 10.0.0.1, hostIPs: [{ip: 10.0.0.1}], podIP: 10.1.0.1, podIPs: [{ip: 10.1.0.1}], qosClass: BestEffort, startTime: '2026-01-01T10:00:00Z', observedGeneration: 1, "
	const container = "containerStatuses: [{name: c, image: i, imageID: id, ready: READY, restartCount: 0, started: READY, state: {STATE}}]"
	for _, status := range []string{
		"{phase: Pending, qosClass: BestEffort, conditions: [{type: PodScheduled, status: 'False', reason: Unschedulable, observedGeneration: 1}]}",
		"{" + node + "phase: Running, conditions: [{type: Ready, status: 'True', observedGeneration: 1}], " + strings.NewReplacer("READY", "true", "STATE", "running: {startedAt: '2026-01-01T10:00:00Z'}").Replace(container) + "}",
		"{" + node + "phase: Succeeded, conditions: [{type: Ready, status: 'False', reason: PodCompleted, observedGeneration: 1}], " + strings.NewReplacer("READY", "false", "STATE", "terminated: {exitCode: 0}").Replace(container) + "}",
	} {
		old := stored(t, template)
		got, changed, err := rollup.Status(old, members(t, member{name: "a", status: status}), nil, now)
		if err != nil || !changed {
			t.Fatalf("the only member's status is the Pod's: got changed %t, error %v", changed, err)
		}
		template = old.DeepCopy()
		template.Object["status"] = got
		if errs := w.validate(t, template, old); len(errs) > 0 {
			t.Errorf("upstream refuses %v: %v", got, errs.ToAggregate())
		}
	}
}

// take walks once; it returns 1 when the object is a finished Job in the end.
func (w walk) take(t *testing.T, seed uint64, steps int) int {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 1))
	template := object(t, w.template)
	template.SetResourceVersion("1")
	template.SetGeneration(1)
	var list []rollup.Member
	for step := range steps {
		list = w.next(r, template, list)
		if w.edit != nil && r.IntN(4) == 0 {
			w.edit(r, template.Object["spec"].(map[string]any))
			template.SetGeneration(template.GetGeneration() + 1)
		}
		// What the server stores is what it decoded, defaults and all.
		old := stored(t, template)
		status, _, err := rollup.Status(old, list, nil, now.Add(time.Duration(step)*time.Minute))
		if err != nil {
			t.Fatalf("seed %d, step %d: %v", seed, step, err)
		}
		updated := old.DeepCopy()
		updated.Object["status"] = status
		if errs := w.validate(t, updated, old); len(errs) > 0 {
			t.Fatalf("seed %d, step %d: upstream refuses the status: %v\nbefore: %v\nafter:  %v\nmembers: %v", seed, step, errs.ToAggregate(), old.Object["status"], status, list)
		}
		template = updated
	}
	conditions, _, _ := unstructured.NestedSlice(template.Object, "status", "conditions")
	for _, condition := range conditions {
		if kind := condition.(map[string]any)["type"]; kind == "Complete" || kind == "Failed" {
			return 1
		}
	}
	return 0
}

// next adds, removes or changes members.
func (w walk) next(r *rand.Rand, template *unstructured.Unstructured, list []rollup.Member) []rollup.Member {
	var out []rollup.Member
	total := int32(r.IntN(5))
	for i := range 3 {
		last := rollup.Member{Cluster: fmt.Sprint("m", i)}
		for _, member := range list {
			if member.Cluster == last.Cluster {
				last = member
			}
		}
		switch r.IntN(6) {
		case 0: // leaves, or stays away
			continue
		case 1, 2: // says nothing new
		default:
			last.Applied = r.IntN(5) > 0
			last.AppliedMessage = []string{"", "refused"}[r.IntN(2)]
			last.Status = w.status(r, last.Status)
			last.TemplateGeneration = max(0, template.GetGeneration()-int64(r.IntN(2)))
		}
		last.Replicas, last.Total = int32(r.IntN(5)), total
		out = append(out, last)
	}
	return out
}

// stored returns the object as the API server would return it after storing it.
func stored(t *testing.T, obj *unstructured.Unstructured) *unstructured.Unstructured {
	t.Helper()
	versioned := decoded(t, obj)
	out, err := runtime.DefaultUnstructuredConverter.ToUnstructured(versioned)
	if err != nil {
		t.Fatal(err)
	}
	result := &unstructured.Unstructured{Object: out}
	result.SetGroupVersionKind(obj.GroupVersionKind())
	return result
}

func decoded(t *testing.T, obj *unstructured.Unstructured) runtime.Object {
	t.Helper()
	versioned, err := legacyscheme.Scheme.New(obj.GroupVersionKind())
	if err != nil {
		t.Fatal(err)
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, versioned); err != nil {
		t.Fatal(err)
	}
	legacyscheme.Scheme.Default(versioned)
	return versioned
}

// validate asks upstream's own strategy of the status subresource.
func (w walk) validate(t *testing.T, updated, old *unstructured.Unstructured) field.ErrorList {
	t.Helper()
	gvk := updated.GroupVersionKind()
	ctx := genericapirequest.WithRequestInfo(t.Context(), &genericapirequest.RequestInfo{
		IsResourceRequest: true, APIGroup: gvk.Group, APIVersion: gvk.Version, Subresource: "status", Verb: "update",
	})
	internal := func(obj *unstructured.Unstructured) runtime.Object {
		out, err := legacyscheme.Scheme.ConvertToVersion(decoded(t, obj), schema.GroupVersion{Group: gvk.Group, Version: runtime.APIVersionInternal})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	after, before := internal(updated), internal(old)
	w.strategy.PrepareForUpdate(ctx, after, before)
	return w.strategy.ValidateUpdate(ctx, after, before)
}

// number is a counter, negative or huge at times, as no upstream server stores.
func number(r *rand.Rand, limit int) int64 {
	switch r.IntN(40) {
	case 0:
		return -1
	case 1:
		return 1<<31 - 1
	default:
		return int64(r.IntN(limit + 1))
	}
}

func moment(r *rand.Rand) string {
	return now.Add(-time.Duration(r.IntN(7200)) * time.Second).Format(time.RFC3339)
}

func conditions(r *rand.Rand, types, reasons []string) []any {
	var out []any
	for _, name := range types {
		if r.IntN(2) == 0 {
			out = append(out, map[string]any{
				"type": name, "status": []string{"True", "False", "Unknown"}[r.IntN(3)], "reason": reasons[r.IntN(len(reasons))],
				"message": "m", "lastTransitionTime": moment(r),
			})
		}
	}
	return out
}

// jobStatus is a Job's status as a controller goes through it, with counters
// that are not always right.
func jobStatus(r *rand.Rand, last map[string]any) map[string]any {
	status := maps.Clone(last)
	if status == nil || r.IntN(10) == 0 {
		status = map[string]any{"startTime": moment(r)}
	}
	status["active"], status["ready"], status["terminating"] = number(r, 2), number(r, 2), number(r, 1)
	status["succeeded"], status["failed"] = number(r, 4), number(r, 4)
	status["uncountedTerminatedPods"] = map[string]any{"failed": []any{fmt.Sprint(r.IntN(3))}}
	status["completedIndexes"] = []string{"", "0", "0,2", "0-1"}[r.IntN(4)]
	status["failedIndexes"] = []string{"", "3"}[r.IntN(2)]
	end := func(types ...string) {
		var list []any
		for _, name := range types {
			list = append(list, map[string]any{"type": name, "status": "True", "reason": "R", "message": "m"})
		}
		status["conditions"] = list
	}
	switch r.IntN(8) {
	case 0:
		end("SuccessCriteriaMet")
	case 1:
		end("SuccessCriteriaMet", "Complete")
		status["completionTime"], status["active"], status["terminating"] = moment(r), int64(0), int64(0)
	case 2:
		if r.IntN(3) == 0 {
			end("FailureTarget", "Failed")
			status["active"], status["terminating"] = int64(0), int64(0)
		}
	case 3:
		end("Suspended")
		delete(status, "startTime")
	case 4:
		delete(status, "conditions")
	}
	return status
}

func loadBalancer(r *rand.Rand, _ map[string]any) map[string]any {
	addresses := []any{}
	for range r.IntN(3) {
		switch r.IntN(3) {
		case 0:
			addresses = append(addresses, map[string]any{"hostname": fmt.Sprintf("h%d.example.org", r.IntN(3))})
		case 1:
			addresses = append(addresses, map[string]any{"ip": fmt.Sprintf("10.0.0.%d", 1+r.IntN(3))})
		default:
			addresses = append(addresses, map[string]any{"ip": fmt.Sprintf("10.0.0.%d", 1+r.IntN(3)), "ipMode": "Proxy"})
		}
	}
	return map[string]any{"loadBalancer": map[string]any{"ingress": addresses}}
}
