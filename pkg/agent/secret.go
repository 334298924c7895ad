// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/util/retry"

	"fleet.dev/fleet/pkg/apis/wellknown"
)

// SecretStore keeps credentials in the Secret fleet-system/fleet-agent of the
// member.
type SecretStore struct {
	secrets corev1client.SecretInterface
}

var _ Store = &SecretStore{}

// NewSecretStore returns the Store in the member that secrets reaches.
func NewSecretStore(secrets corev1client.SecretsGetter) *SecretStore {
	return &SecretStore{secrets: secrets.Secrets(wellknown.NamespaceSystem)}
}

// Load implements Store.
func (s *SecretStore) Load(ctx context.Context) (Credentials, error) {
	secret, err := s.get(ctx)
	if err != nil || secret == nil {
		return Credentials{}, err
	}
	return credentialsIn(secret), nil
}

// Update implements Store.
func (s *SecretStore) Update(ctx context.Context, change func(*Credentials) error) error {
	var refused error
	err := retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		secret, err := s.get(ctx)
		if err != nil {
			return err
		}
		create := secret == nil
		if create {
			secret = &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: wellknown.AgentName}}
		}
		credentials := credentialsIn(secret)
		if refused = change(&credentials); refused != nil {
			return nil //nolint:nilerr // what was refused is not to be tried again
		}
		keepIn(secret, credentials)
		if create {
			_, err = s.secrets.Create(ctx, secret, metav1.CreateOptions{FieldManager: wellknown.AgentName})
		} else {
			_, err = s.secrets.Update(ctx, secret, metav1.UpdateOptions{FieldManager: wellknown.AgentName})
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("store credentials in Secret %s/%s of the member: %w", wellknown.NamespaceSystem, wellknown.AgentName, err)
	}
	return refused
}

// get returns nil when there is no Secret.
func (s *SecretStore) get(ctx context.Context) (*corev1.Secret, error) {
	secret, err := s.secrets.Get(ctx, wellknown.AgentName, metav1.GetOptions{})
	switch {
	case err == nil:
		return secret, nil
	case apierrors.IsNotFound(err):
		return nil, nil
	default:
		return nil, fmt.Errorf("get Secret %s/%s of the member: %w", wellknown.NamespaceSystem, wellknown.AgentName, err)
	}
}

func credentialsIn(secret *corev1.Secret) Credentials {
	return Credentials{
		Bootstrap:   secret.Data[wellknown.SecretKeyBootstrapKubeconfig],
		Request:     string(secret.Data[wellknown.SecretKeyRequest]),
		RequestKey:  secret.Data[wellknown.SecretKeyRequestKey],
		Certificate: secret.Data[corev1.TLSCertKey],
		Key:         secret.Data[corev1.TLSPrivateKeyKey],
		Left:        secret.Annotations[wellknown.AnnotationLeft] == "true",
	}
}

// keepIn leaves other keys and annotations as they are.
func keepIn(secret *corev1.Secret, credentials Credentials) {
	secret.Data = maps.Clone(secret.Data)
	if secret.Data == nil {
		secret.Data = map[string][]byte{}
	}
	for key, value := range map[string][]byte{
		wellknown.SecretKeyBootstrapKubeconfig: credentials.Bootstrap,
		wellknown.SecretKeyRequest:             []byte(credentials.Request),
		wellknown.SecretKeyRequestKey:          credentials.RequestKey,
		corev1.TLSCertKey:                      credentials.Certificate,
		corev1.TLSPrivateKeyKey:                credentials.Key,
	} {
		if len(value) > 0 {
			secret.Data[key] = value
		} else {
			delete(secret.Data, key)
		}
	}
	if credentials.Left {
		metav1.SetMetaDataAnnotation(&secret.ObjectMeta, wellknown.AnnotationLeft, "true")
	} else {
		delete(secret.Annotations, wellknown.AnnotationLeft)
	}
}
