// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package config is the configuration file of the scheduler, of kind
// SchedulerConfiguration in scheduler.config.fleet.dev/v1alpha1:
//
//	apiVersion: scheduler.config.fleet.dev/v1alpha1
//	kind: SchedulerConfiguration
//	parallelism: 16
//	profiles:
//	- schedulerName: default-scheduler
//	  plugins:
//	    disabled: [NodeFit]
//	    enabled:
//	    - name: MyPlugin
//	      weight: 5
//	      args: {anything: the plugin reads}
//
// A file is decoded strictly: a field that is unknown or given twice is an error.
package config
