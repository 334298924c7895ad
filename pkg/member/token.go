// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package member

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/apimachinery/pkg/util/wait"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"fleet.dev/fleet/pkg/apis/wellknown"
)

const (
	// tokenTimeout is how long a member may take to fill in a token.
	tokenTimeout = 30 * time.Second
	tokenPoll    = 200 * time.Millisecond
)

// TokenSecret returns a new Secret in which a member's controller manager puts a
// token of one of the fleet's ServiceAccounts. Each has a name of its own, so
// that a new token never touches one in use; deleting the Secret revokes its
// token. It is garbage once owner, the fleet's ClusterRole, is gone.
func TokenSecret(account, fleetID string, owner metav1.OwnerReference) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace:       wellknown.NamespaceSystem,
			Name:            account + "-token-" + rand.String(5),
			Labels:          map[string]string{wellknown.LabelManagedBy: fleetID},
			Annotations:     map[string]string{corev1.ServiceAccountNameKey: account},
			OwnerReferences: []metav1.OwnerReference{owner},
		},
		Type: corev1.SecretTypeServiceAccountToken,
	}
}

// AwaitToken waits until the member has filled in a token, at most half a minute.
func AwaitToken(ctx context.Context, secrets corev1client.SecretInterface, name string) (token []byte, err error) {
	err = wait.PollUntilContextTimeout(ctx, tokenPoll, tokenTimeout, true, func(ctx context.Context) (bool, error) {
		secret, err := secrets.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		token = secret.Data[corev1.ServiceAccountTokenKey]
		return len(token) > 0, nil
	})
	if wait.Interrupted(err) && ctx.Err() == nil {
		return nil, fmt.Errorf("wait %s for a token in Secret %s/%s of the member: does its controller manager run?", tokenTimeout, wellknown.NamespaceSystem, name)
	}
	if err != nil {
		return nil, fmt.Errorf("get the token in Secret %s/%s of the member: %w", wellknown.NamespaceSystem, name, err)
	}
	return token, nil
}
