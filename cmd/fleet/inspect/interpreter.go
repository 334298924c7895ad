// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package inspect

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	configv1alpha1 "fleet.dev/fleet/pkg/apis/config/v1alpha1"
	"fleet.dev/fleet/pkg/interpreter"
	"fleet.dev/fleet/pkg/interpreter/builtin"
)

// Interpreter returns what reads custom resources in the fleet now.
func (f *Fleet) Interpreter(ctx context.Context) (*interpreter.Interpreter, error) {
	customizations, err := builtin.Customizations()
	if err != nil {
		return nil, err
	}
	list, err := f.Own.ConfigV1alpha1().ResourceInterpreterCustomizations().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list resource interpreter customizations: %w", err)
	}
	users := make([]*configv1alpha1.ResourceInterpreterCustomization, len(list.Items))
	for i := range list.Items {
		users[i] = &list.Items[i]
	}
	return interpreter.New(users, customizations), nil
}
