// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package token

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/kubernetes"
	bootstrapapi "k8s.io/cluster-bootstrap/token/api"
	bootstraputil "k8s.io/cluster-bootstrap/token/util"
	bootstraptokenv1 "k8s.io/kubernetes/cmd/kubeadm/app/apis/bootstraptoken/v1"

	"fleet.dev/fleet/pkg/apis/wellknown"
)

// DefaultTTL is how long a token is good unless said otherwise.
const DefaultTTL = 24 * time.Hour

// Options are what a token is made from.
type Options struct {
	// TTL is how long it is good; 0 means for ever.
	TTL time.Duration
	// Description is for people who list tokens.
	Description string
	// AutoAccept accepts clusters of new names that ask with this token.
	AutoAccept bool
}

// Create makes a token and returns it, the secret part included.
func Create(ctx context.Context, kube kubernetes.Interface, o Options) (*bootstraptokenv1.BootstrapToken, error) {
	generated, err := bootstraputil.GenerateBootstrapToken()
	if err != nil {
		return nil, fmt.Errorf("generate a token: %w", err)
	}
	value, err := bootstraptokenv1.NewBootstrapTokenString(generated)
	if err != nil {
		return nil, fmt.Errorf("generate a token: %w", err)
	}
	token := &bootstraptokenv1.BootstrapToken{
		Token: value, Description: o.Description, Usages: bootstrapapi.KnownTokenUsages, Groups: []string{wellknown.GroupAgentBootstrappers},
	}
	if o.TTL > 0 {
		token.TTL = &metav1.Duration{Duration: o.TTL}
	}
	if o.AutoAccept {
		token.Groups = append(token.Groups, wellknown.GroupAgentAutoAccept)
	}
	secret := bootstraptokenv1.BootstrapTokenToSecret(token)
	if _, err := kube.CoreV1().Secrets(metav1.NamespaceSystem).Create(ctx, secret, metav1.CreateOptions{}); err != nil {
		return nil, fmt.Errorf("create the Secret of the token: %w", err)
	}
	return bootstraptokenv1.BootstrapTokenFromSecret(secret)
}

// List returns the tokens for agents, sorted by their id. Expired ones are there
// until the fleet has removed them.
func List(ctx context.Context, kube kubernetes.Interface) ([]bootstraptokenv1.BootstrapToken, error) {
	secrets, err := kube.CoreV1().Secrets(metav1.NamespaceSystem).List(ctx, metav1.ListOptions{
		FieldSelector: fields.OneTermEqualSelector("type", string(bootstrapapi.SecretTypeBootstrapToken)).String(),
	})
	if err != nil {
		return nil, fmt.Errorf("list Secrets of tokens: %w", err)
	}
	tokens := []bootstraptokenv1.BootstrapToken{}
	for i := range secrets.Items {
		if token, ok := ofAgents(&secrets.Items[i]); ok {
			tokens = append(tokens, *token)
		}
	}
	slices.SortFunc(tokens, func(a, b bootstraptokenv1.BootstrapToken) int { return strings.Compare(a.Token.ID, b.Token.ID) })
	return tokens, nil
}

// ofAgents reads a token for agents from its Secret.
func ofAgents(secret *corev1.Secret) (*bootstraptokenv1.BootstrapToken, bool) {
	if secret.Type != bootstrapapi.SecretTypeBootstrapToken {
		return nil, false
	}
	token, err := bootstraptokenv1.BootstrapTokenFromSecret(secret)
	if err != nil {
		return nil, false // made by hand, and not well
	}
	return token, slices.Contains(token.Groups, wellknown.GroupAgentBootstrappers)
}

// AutoAccepts returns whether clusters that ask with the token are accepted.
func AutoAccepts(token *bootstraptokenv1.BootstrapToken) bool {
	return slices.Contains(token.Groups, wellknown.GroupAgentAutoAccept)
}

// Delete deletes a token for agents, given as its id or in full.
func Delete(ctx context.Context, kube kubernetes.Interface, token string) (id string, err error) {
	id, _, _ = strings.Cut(token, ".")
	if !bootstraputil.IsValidBootstrapTokenID(id) {
		return "", fmt.Errorf("%q is no token: expected six characters of a-z and 0-9, or a token in full", id)
	}
	secrets, name := kube.CoreV1().Secrets(metav1.NamespaceSystem), bootstraputil.BootstrapTokenSecretName(id)
	secret, err := secrets.Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return "", fmt.Errorf("there is no token %q", id)
	}
	if err != nil {
		return "", fmt.Errorf("get the Secret of token %q: %w", id, err)
	}
	if _, ok := ofAgents(secret); !ok {
		return "", fmt.Errorf("token %q is not for agents; if you mean it, delete Secret %s in namespace %s", id, name, metav1.NamespaceSystem)
	}
	preconditions := metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(secret.UID))}
	if err := secrets.Delete(ctx, name, preconditions); err != nil {
		return "", fmt.Errorf("delete the Secret of token %q: %w", id, err)
	}
	return id, nil
}
