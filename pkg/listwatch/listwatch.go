// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package listwatch

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
)

// Client lists and watches one resource.
type Client[List runtime.Object] interface {
	List(ctx context.Context, options metav1.ListOptions) (List, error)
	Watch(ctx context.Context, options metav1.ListOptions) (watch.Interface, error)
}

// All lists and watches all that the client does.
func All[List runtime.Object](client Client[List]) *cache.ListWatch {
	return Some(client, metav1.ListOptions{})
}

// Some lists and watches what the selectors of the options select.
func Some[List runtime.Object](client Client[List], selectors metav1.ListOptions) *cache.ListWatch {
	narrow := func(options metav1.ListOptions) metav1.ListOptions {
		options.LabelSelector, options.FieldSelector = selectors.LabelSelector, selectors.FieldSelector
		return options
	}
	return &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			return client.List(ctx, narrow(options))
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			return client.Watch(ctx, narrow(options))
		},
	}
}
