// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package register

import (
	"context"
	"crypto"
	"errors"
	"fmt"

	certificatesv1 "k8s.io/api/certificates/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/util/keyutil"

	"fleet.dev/fleet/pkg/agent"
	"fleet.dev/fleet/pkg/apis/cluster/identity"
	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	fleetclient "fleet.dev/fleet/pkg/generated/clientset/versioned"
)

// ErrDenied says that the fleet does not let the cluster in.
var ErrDenied = errors.New("the fleet does not let the cluster in")

// Await follows the agent on its way into the fleet until the Cluster is ready.
// It calls progress with what it waits for, whenever that changes. It returns
// ErrDenied with the fleet's reason when the fleet refuses; the error when ctx
// ends says what was missing.
func (m *Member) Await(ctx context.Context, i Installation, progress func(message string)) error {
	token, err := kubernetes.NewForConfig(i.Fleet.bearer())
	if err != nil {
		return fmt.Errorf("make a client to the fleet: %w", err)
	}
	store := agent.NewSecretStore(m.client.CoreV1())
	last := ""
	err = wait.PollUntilContextCancel(ctx, pollPeriod, true, func(ctx context.Context) (bool, error) {
		credentials, err := store.Load(ctx)
		if err != nil {
			return false, err
		}
		message, done, err := look(ctx, i, token, credentials)
		if message != last && ctx.Err() == nil {
			last = message
			progress(message)
		}
		return done, err
	})
	if wait.Interrupted(err) {
		return fmt.Errorf("wait for Cluster %q to be ready: %w (last seen: %s)", i.Cluster, err, last)
	}
	return err
}

// look says how far the agent is.
func look(ctx context.Context, i Installation, token kubernetes.Interface, credentials agent.Credentials) (message string, done bool, err error) {
	if len(credentials.Certificate) > 0 {
		return lookAtCluster(ctx, i, credentials)
	}
	if credentials.Request == "" {
		return "registered; the agent has not started yet", false, nil
	}
	request, err := token.CertificatesV1().CertificateSigningRequests().Get(ctx, credentials.Request, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return "registered; the agent has not asked the fleet yet", false, nil
	case err != nil:
		return err.Error(), false, nil //nolint:nilerr // it may pass, and is told
	}
	for _, condition := range request.Status.Conditions {
		if condition.Type == certificatesv1.CertificateDenied || condition.Type == certificatesv1.CertificateFailed {
			return "denied", false, fmt.Errorf("%w: %s: %s", ErrDenied, condition.Reason, condition.Message)
		}
	}
	if i.Fleet.Accepts {
		return "asked to join; the token is good for being accepted", false, nil
	}
	return fmt.Sprintf("waiting for acceptance: an administrator of the fleet runs \"fleet accept %s\" (key %s)", i.Cluster, fingerprint(credentials.RequestKey)), false, nil
}

// fingerprint is what the fleet shows for the key.
func fingerprint(keyPEM []byte) string {
	parsed, err := keyutil.ParsePrivateKeyPEM(keyPEM)
	if err != nil {
		return "unknown"
	}
	key, ok := parsed.(crypto.Signer)
	if !ok {
		return "unknown"
	}
	hash, err := identity.Fingerprint(key.Public())
	if err != nil {
		return "unknown"
	}
	return hash
}

// lookAtCluster asks the fleet as the agent.
func lookAtCluster(ctx context.Context, i Installation, credentials agent.Credentials) (message string, done bool, err error) {
	config := i.Fleet.anonymous()
	config.CertData, config.KeyData = credentials.Certificate, credentials.Key
	client, err := fleetclient.NewForConfig(config)
	if err != nil {
		return "", false, fmt.Errorf("make a client to the fleet: %w", err)
	}
	cluster, err := client.ClusterV1alpha1().Clusters().Get(ctx, i.Cluster, metav1.GetOptions{})
	if err != nil {
		return "accepted; " + err.Error(), false, nil //nolint:nilerr // it may pass, and is told
	}
	ready := apimeta.FindStatusCondition(cluster.Status.Conditions, clusterv1alpha1.ClusterConditionReady)
	switch {
	case ready == nil:
		return "accepted; the agent has not reported yet", false, nil
	case ready.Status != metav1.ConditionTrue:
		return fmt.Sprintf("accepted; %s: %s", ready.Reason, ready.Message), false, nil
	}
	return "connected and ready", true, nil
}
