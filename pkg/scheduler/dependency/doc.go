// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package dependency knows which templates belong together: what a template
// needs, by name or by label, and what is of use to it, such as the Services that
// select its Pods, the Ingresses in front of those, and disruption budgets.
//
// From a template the ties lead to what goes along with it:
//
//	Deployment ──needs──► ConfigMap, Secret, ServiceAccount ──needs──► Secret
//	    │
//	    ├──of use──► Service, PodDisruptionBudget
//	    └──in front of such a Service──► Ingress ──needs──► Secret, IngressClass, Service
//
// An Index answers in both directions by following ties. It looks at what they
// lead to and at no other template: selectors are found by one of the labels
// they ask for, Pods by the labels they have. An Ingress leads to its
// Services, but these do not lead on to their Pods, so one workload does
// not take others along for being behind the same host.
//
// It is in memory, called by the scheduler, and safe for concurrent use. The lock
// is held while Templates is asked, which must not call back.
package dependency
