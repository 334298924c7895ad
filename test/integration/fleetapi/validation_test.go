// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package fleetapi

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// causes returns the fields of an Invalid answer, each with its reason.
func causes(t *testing.T, err error) []string {
	t.Helper()
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		t.Fatalf("want an answer of the API, got %v", err)
	}
	if reason, code := status.Status().Reason, status.Status().Code; reason != metav1.StatusReasonInvalid || code != http.StatusUnprocessableEntity {
		t.Fatalf("want 422 Invalid, got %d %s: %v", code, reason, err)
	}
	var found []string
	for _, cause := range status.Status().Details.Causes {
		found = append(found, cause.Field+" "+string(cause.Type))
	}
	return found
}

const (
	required  = " FieldValueRequired"
	invalid   = " FieldValueInvalid"
	unknown   = " FieldValueNotSupported"
	forbidden = " FieldValueForbidden"
	duplicate = " FieldValueDuplicate"
)

func TestRefusesInvalidObjects(t *testing.T) {
	for _, r := range append([]resource{workFeedbacks}, stored...) {
		t.Run(r.kind+"/Valid", func(t *testing.T) {
			if err := post(t, r, r.object(nil), "dryRun=All", "fieldValidation=Strict").Error(); err != nil {
				t.Fatalf("the object that the cases below change is refused itself: %s", describe(err))
			}
		})
	}
	feedbackInShop := workFeedbacks
	feedbackInShop.namespace = "shop"
	tests := map[string]struct {
		resource resource
		patch    string
		want     []string
	}{
		"Cluster/LongName":           {clusters, `metadata: {name: ` + strings.Repeat("m", 50) + `}`, []string{"metadata.name" + invalid}},
		"Cluster/DottedName":         {clusters, `metadata: {name: eu.m1}`, []string{"metadata.name" + invalid}},
		"Cluster/NoSyncMode":         {clusters, `spec: {syncMode: null}`, []string{"spec.syncMode" + required}},
		"Cluster/SyncMode":           {clusters, `spec: {syncMode: push}`, []string{"spec.syncMode" + unknown}},
		"Cluster/PlainHTTP":          {clusters, `spec: {apiEndpoint: "http://192.0.2.1"}`, []string{"spec.apiEndpoint" + invalid}},
		"Cluster/ProxyHeader":        {clusters, `spec: {proxyHeader: {X-A: b}}`, []string{"spec.proxyHeader" + forbidden}},
		"Cluster/SecretNamespace":    {clusters, `spec: {secretRef: {namespace: "", name: a}}`, []string{"spec.secretRef.namespace" + invalid}},
		"Cluster/ZoneTwice":          {clusters, `spec: {zones: [a, b, a]}`, []string{"spec.zones[2]" + duplicate}},
		"Cluster/ZoneNotInZones":     {clusters, `spec: {zone: c, zones: [a]}`, []string{"spec.zone" + invalid}},
		"Cluster/TaintEffect":        {clusters, `spec: {taints: [{key: a, effect: Evict}]}`, []string{"spec.taints[0].effect" + unknown}},
		"Cluster/TaintTwice":         {clusters, `spec: {taints: [{key: a, effect: NoSchedule}, {key: a, effect: NoSchedule}]}`, []string{"spec.taints[1]" + duplicate}},
		"Cluster/FirstGrade":         {clusters, `spec: {resourceModels: [{grade: 1, ranges: [{name: cpu, min: "0", max: "1"}]}]}`, []string{"spec.resourceModels[0].grade" + invalid}},
		"Cluster/GradesWithGap":      {clusters, `spec: {resourceModels: [{grade: 0, ranges: [{name: cpu, min: "0", max: "1"}]}, {grade: 1, ranges: [{name: cpu, min: "2", max: "3"}]}]}`, []string{"spec.resourceModels[1].ranges[0].min" + invalid}},
		"Propagation/NoSelectors":    {propagationPolicies, `spec: {resourceSelectors: []}`, []string{"spec.resourceSelectors" + required}},
		"Propagation/Namespace":      {propagationPolicies, `spec: {resourceSelectors: [{apiVersion: v1, kind: Secret, namespace: other}]}`, []string{"spec.resourceSelectors[0].namespace" + invalid}},
		"Propagation/APIVersion":     {propagationPolicies, `spec: {resourceSelectors: [{apiVersion: apps/v1/x, kind: Deployment}]}`, []string{"spec.resourceSelectors[0].apiVersion" + invalid}},
		"Propagation/TwoAffinities":  {propagationPolicies, `spec: {placement: {clusterAffinity: {}, clusterAffinities: [{affinityName: a}]}}`, []string{"spec.placement.clusterAffinities" + forbidden}},
		"Propagation/Spread":         {propagationPolicies, `spec: {placement: {spreadConstraints: [{minGroups: 3, maxGroups: 2}]}}`, []string{"spec.placement.spreadConstraints[0].maxGroups" + invalid}},
		"Propagation/AutoAndMore":    {propagationPolicies, `spec: {placement: {auto: {}, replicaScheduling: {}}}`, []string{"spec.placement.replicaScheduling" + forbidden}},
		"Propagation/Expression":     {propagationPolicies, `spec: {placement: {clusterAffinity: {expression: "cluster.spec.region == "}}}`, []string{"spec.placement.clusterAffinity.expression" + invalid}},
		"Propagation/Preemption":     {propagationPolicies, `spec: {preemption: Sometimes}`, []string{"spec.preemption" + unknown}},
		"Propagation/Suspension":     {propagationPolicies, `spec: {suspension: {dispatching: true, dispatchingOnClusters: {clusterNames: [m1]}}}`, []string{"spec.suspension.dispatchingOnClusters" + forbidden}},
		"Propagation/PriorityClass":  {propagationPolicies, `spec: {schedulePriority: {priorityClassSource: KubePriorityClass}}`, []string{"spec.schedulePriority.priorityClassName" + required}},
		"Propagation/GracePeriod":    {propagationPolicies, `spec: {failover: {application: {decisionConditions: {}, purgeMode: Directly, gracePeriodSeconds: 5}}}`, []string{"spec.failover.application.gracePeriodSeconds" + forbidden}},
		"Propagation/SeveralAtOnce":  {propagationPolicies, `spec: {preemption: Sometimes, conflictResolution: Guess, placement: {clusterAffinity: {clusterNames: [M_1]}}}`, []string{"spec.placement.clusterAffinity.clusterNames[0]" + invalid, "spec.preemption" + unknown, "spec.conflictResolution" + unknown}},
		"ClusterPropagation/Seconds": {clusterPropagationPolicies, `spec: {placement: {clusterTolerations: [{key: a, operator: Exists, effect: NoSchedule, tolerationSeconds: 5}]}}`, []string{"spec.placement.clusterTolerations[0].effect" + invalid}},
		"ClusterPropagation/Names":   {clusterPropagationPolicies, `spec: {placement: {clusterAffinities: [{affinityName: a}, {affinityName: a}]}}`, []string{"spec.placement.clusterAffinities[1].affinityName" + duplicate}},
		"ClusterPropagation/Weight":  {clusterPropagationPolicies, `spec: {placement: {replicaScheduling: {weightPreference: {staticWeightList: [{targetCluster: {}, weight: 0}]}}}}`, []string{"spec.placement.replicaScheduling.weightPreference.staticWeightList[0].weight" + invalid}},
		"Override/NoRules":           {overridePolicies, `spec: {overrideRules: []}`, []string{"spec.overrideRules" + required}},
		"Override/Identity":          {overridePolicies, `spec: {overrideRules: [{overriders: {plaintext: [{path: /metadata/name, operator: replace, value: x}]}}]}`, []string{"spec.overrideRules[0].overriders.plaintext[0].path" + forbidden}},
		"Override/ImageValue":        {overridePolicies, `spec: {overrideRules: [{overriders: {imageOverrider: [{component: Tag, operator: replace}]}}]}`, []string{"spec.overrideRules[0].overriders.imageOverrider[0].value" + required}},
		"Override/JSONAndYAML":       {overridePolicies, `spec: {overrideRules: [{overriders: {fieldOverrider: [{fieldPath: /data/a, json: [{subPath: /x, operator: remove}], yaml: [{subPath: /x, operator: remove}]}]}}]}`, []string{"spec.overrideRules[0].overriders.fieldOverrider[0].yaml" + forbidden}},
		"Override/Expression":        {overridePolicies, `spec: {overrideRules: [{overriders: {expression: "Object{spec}"}}]}`, []string{"spec.overrideRules[0].overriders.expression" + invalid}},
		"ClusterOverride/Operator":   {clusterOverridePolicies, `spec: {overrideRules: [{overriders: {commandOverrider: [{containerName: web, operator: replace}]}}]}`, []string{"spec.overrideRules[0].overriders.commandOverrider[0].operator" + unknown}},
		"ClusterOverride/Label":      {clusterOverridePolicies, `spec: {overrideRules: [{overriders: {labelsOverrider: [{operator: add, value: {a: "b c"}}]}}]}`, []string{"spec.overrideRules[0].overriders.labelsOverrider[0].value[a]" + invalid}},
		"ClusterOverride/Target":     {clusterOverridePolicies, `spec: {overrideRules: [{targetCluster: {fieldSelector: {matchExpressions: [{key: rack, operator: In, values: [a]}]}}, overriders: {expression: "Object{}"}}]}`, []string{"spec.overrideRules[0].targetCluster.fieldSelector.matchExpressions[0].key" + unknown}},
		"Binding/Namespace":          {resourceBindings, `spec: {resource: {namespace: other}}`, []string{"spec.resource.namespace" + invalid}},
		"Binding/NoUID":              {resourceBindings, `spec: {resource: {uid: ""}}`, []string{"spec.resource.uid" + required}},
		"Binding/ClusterTwice":       {resourceBindings, `spec: {clusters: [{name: m1}, {name: m1}]}`, []string{"spec.clusters[1].name" + duplicate}},
		"Binding/Replicas":           {resourceBindings, `spec: {replicas: -1, clusters: [{name: m1, replicas: -1}]}`, []string{"spec.clusters[0].replicas" + invalid, "spec.replicas" + invalid}},
		"Binding/Overrides":          {resourceBindings, `spec: {overrides: [{policy: {name: a}, overriders: {}}]}`, []string{"spec.overrides[0].overriders" + required}},
		"ClusterBinding/Namespace":   {clusterResourceBindings, `spec: {resource: {namespace: shop}}`, []string{"spec.resource.namespace" + invalid}},
		"ClusterBinding/Eviction":    {clusterResourceBindings, `spec: {gracefulEvictionTasks: [{fromCluster: m1, producer: a, reason: ""}]}`, []string{"spec.gracefulEvictionTasks[0].reason" + required}},
		"Feedback/Namespace":         {feedbackInShop, ``, []string{"metadata.namespace" + invalid}},
		"Feedback/NoTemplate":        {workFeedbacks, `spec: {items: [{name: a, templateUID: ""}]}`, []string{"spec.items[0].templateUID" + required}},
		"Feedback/Health":            {workFeedbacks, `spec: {items: [{name: a, templateUID: "1", health: Fine}]}`, []string{"spec.items[0].health" + unknown}},
		"Customization/Nothing":      {customizations, `spec: {customizations: {healthInterpretation: null}}`, []string{"spec.customizations" + required}},
		"Customization/Target":       {customizations, `spec: {target: {kind: "*"}}`, []string{"spec.target.kind" + invalid}},
		"Customization/Empty":        {customizations, `spec: {customizations: {retention: {expression: ""}}}`, []string{"spec.customizations.retention.expression" + required}},
		"Customization/Expression":   {customizations, `spec: {customizations: {healthInterpretation: {expression: "if object"}}}`, []string{"spec.customizations.healthInterpretation.expression" + invalid}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			object := tc.resource.object(func(object map[string]any) { merge(object, tc.patch) })
			err := post(t, tc.resource, object, "dryRun=All", "fieldValidation=Strict").Error()
			if diff := cmp.Diff(tc.want, causes(t, err)); diff != "" {
				t.Errorf("causes of the answer, -want +got:\n%s\n%v", diff, err)
			}
		})
	}
}

func TestRefusesInvalidChanges(t *testing.T) {
	tests := map[string]struct {
		reason   string
		resource resource
		given    string
		patch    string
		want     []string
	}{
		"ClusterID": {
			reason: "a member cannot become another", resource: clusters.named("fixed"),
			given: `spec: {id: one}`, patch: `spec: {id: two}`, want: []string{"spec.id" + invalid},
		},
		"SchedulerName": {
			reason: "two schedulers would decide", resource: propagationPolicies.named("fixed"),
			patch: `spec: {schedulerName: mine}`, want: []string{"spec.schedulerName" + invalid},
		},
		"Template": {
			reason: "a binding stands for one template", resource: resourceBindings.named("fixed"),
			patch: `spec: {resource: {kind: StatefulSet, name: db}}`, want: []string{"spec.resource.kind" + invalid, "spec.resource.name" + invalid},
		},
		"ClusterTemplate": {
			reason: "the group decides what the object is", resource: clusterResourceBindings.named("fixed"),
			patch: `spec: {resource: {apiVersion: example.com/v1}}`, want: []string{"spec.resource.apiVersion" + invalid},
		},
		"Target": {
			reason: "rules are about one kind", resource: customizations.named("fixed"),
			patch: `spec: {target: {kind: Queue}}`, want: []string{"spec.target.kind" + invalid},
		},
		"Expression": {
			reason: "an update is checked as a new object is", resource: overridePolicies.named("fixed"),
			patch: `spec: {overrideRules: [{overriders: {expression: "object."}}]}`, want: []string{"spec.overrideRules[0].overriders.expression" + invalid},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			create(t, tc.resource, tc.given)
			err := patch(t, tc.resource, "", tc.patch)
			if diff := cmp.Diff(tc.want, causes(t, err)); diff != "" {
				t.Errorf("%s: causes of the answer, -want +got:\n%s\n%v", tc.reason, diff, err)
			}
		})
	}
}

// patch sends a merge patch, written in YAML, to the resource's valid object or
// to a subresource of it.
func patch(t *testing.T, r resource, subresource, body string) error {
	t.Helper()
	data := toJSON(t, decode(body))
	return client().Patch(types.MergePatchType).AbsPath(r.path(), nameOf(r.object(nil)), subresource).Body(data).Do(t.Context()).Error()
}

func TestRefusesInvalidStatus(t *testing.T) {
	tests := map[string]struct {
		resource resource
		patch    string
		want     []string
	}{
		"Cluster/Condition":   {clusters, `status: {conditions: [{type: Ready, status: Maybe, reason: a, message: "", lastTransitionTime: "2026-01-01T00:00:00Z"}]}`, []string{"status.conditions[0].status" + unknown}},
		"Cluster/Nodes":       {clusters, `status: {nodeSummary: {totalNum: 1, readyNum: 2}}`, []string{"status.nodeSummary.readyNum" + invalid}},
		"Binding/MemberTwice": {resourceBindings, `status: {aggregatedStatus: [{clusterName: m1}, {clusterName: m1}]}`, []string{"status.aggregatedStatus[1].clusterName" + duplicate}},
		"Binding/Health":      {clusterResourceBindings, `status: {aggregatedStatus: [{clusterName: m1, health: Fine}]}`, []string{"status.aggregatedStatus[0].health" + unknown}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			r := tc.resource.named("reporting")
			create(t, r, "")
			err := patch(t, r, "status", tc.patch)
			if diff := cmp.Diff(tc.want, causes(t, err)); diff != "" {
				t.Errorf("causes of the answer, -want +got:\n%s\n%v", diff, err)
			}
		})
	}
}

func TestRefusesUnknownFields(t *testing.T) {
	for _, r := range append([]resource{workFeedbacks}, stored...) {
		t.Run(r.kind, func(t *testing.T) {
			object := r.object(func(object map[string]any) { merge(object, `spec: {replcas: 3}`) })
			err := post(t, r, object, "dryRun=All", "fieldValidation=Strict").Error()
			if want := `strict decoding error: unknown field "spec.replcas"`; !apierrors.IsBadRequest(err) || !strings.Contains(err.Error(), want) {
				t.Errorf("strict: want 400 with %q, got %v", want, err)
			}
			result := post(t, r, object, "dryRun=All")
			var warnings []string
			for _, warning := range result.Warnings() {
				warnings = append(warnings, warning.Text)
			}
			if diff := cmp.Diff([]string{`unknown field "spec.replcas"`}, warnings, cmpopts.EquateEmpty()); result.Error() != nil || diff != "" {
				t.Errorf("by default a typing error is a warning, -want +got:\n%s\n%v", diff, result.Error())
			}
		})
	}
}

func TestWorksAreReadOnly(t *testing.T) {
	requests := map[string]error{
		"create":           post(t, works, works.object(nil)).Error(),
		"update":           client().Put().AbsPath(works.path(), "web").Body(toJSON(t, works.object(nil))).Do(t.Context()).Error(),
		"patch":            client().Patch(types.MergePatchType).AbsPath(works.path(), "web").Body([]byte("{}")).Do(t.Context()).Error(),
		"delete":           client().Delete().AbsPath(works.path(), "web").Do(t.Context()).Error(),
		"deletecollection": client().Delete().AbsPath(works.path()).Do(t.Context()).Error(),
	}
	for verb, err := range requests {
		if !apierrors.IsMethodNotSupported(err) {
			t.Errorf("%s of a work, which is rendered and not stored: want 405, got %v", verb, err)
		}
	}
}
