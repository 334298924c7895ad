// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	utilrand "k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/certificate/csr"
	"k8s.io/client-go/util/keyutil"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"fleet.dev/fleet/pkg/apis/cluster/identity"
)

const (
	// answerTimeout is how long to wait for an answer before the request, and the
	// Store, are looked at again.
	answerTimeout = 30 * time.Second
	// lookInterval is how often the Store is looked at while an attempt is put off.
	lookInterval = 15 * time.Second
	// reminderInterval is how often the log repeats that the agent waits for an
	// administrator.
	reminderInterval = 10 * time.Minute
)

// bootstrap gets the first certificate of a member.
//
//	           ┌───────────────── stored ──────────────────┐
//	nothing ──▶ request + key ──▶ asked ──▶ issued ──▶ certificate
//	                  ▲             │ denied, failed
//	                  └── another ◀─┘ after a minute, two, ... ten
//	                      request,
//	                      same key
//
// It may be cut short anywhere; the next one goes on from what is stored.
type bootstrap struct {
	cluster  string
	id       string // of the member
	lifetime time.Duration
	store    Store
	clock    clock.WithTicker
	// connect returns a client to the fleet of a bootstrap kubeconfig.
	connect func(kubeconfig []byte) (kubernetes.Interface, error)

	// reminded is when the log last said that the agent waits.
	reminded time.Time
}

// deniedError is an answer that will not change.
type deniedError struct{ request, reason, message string }

// Error implements error.
func (e *deniedError) Error() string {
	return fmt.Sprintf("request %q was denied: %s: %s", e.request, e.reason, e.message)
}

// errPending says that nobody has answered yet.
var errPending = errors.New("the request is not answered yet")

// run returns when a certificate is stored, or ctx ended.
func (b *bootstrap) run(ctx context.Context) error {
	logger := klog.FromContext(ctx)
	delays := newDelays()
	for ctx.Err() == nil {
		credentials, err := b.store.Load(ctx)
		if err != nil {
			logger.Info("Credentials of the agent cannot be read, trying again", "reason", err.Error())
			b.rest(ctx, delays.failed(), credentials)
			continue
		}
		if len(credentials.Certificate) > 0 || len(credentials.Bootstrap) == 0 {
			return nil
		}
		err = b.attempt(ctx, &credentials)
		var denied *deniedError
		switch {
		case err == nil:
			logger.Info("The fleet accepted this cluster", "cluster", b.cluster)
			return nil
		case ctx.Err() != nil, errors.Is(err, errPending), errors.Is(err, errReplaced):
		case errors.As(err, &denied):
			delay := delays.denied()
			logger.Error(nil, "The fleet does not let this cluster in, asking again later", "cluster", b.cluster,
				"reason", denied.reason, "message", denied.message, "request", denied.request, "retryAfter", delay.Round(time.Second))
			b.rest(ctx, delay, credentials)
			b.forget(ctx, credentials.Request)
		default:
			delay := delays.failed()
			logger.Info("The fleet cannot be asked for a certificate, trying again", "cluster", b.cluster,
				"reason", explain(err), "retryAfter", delay.Round(time.Second))
			b.rest(ctx, delay, credentials)
		}
	}
	return ctx.Err()
}

// attempt asks once, with the request that is stored, and waits a while for the
// answer.
func (b *bootstrap) attempt(ctx context.Context, credentials *Credentials) error {
	fleetClient, err := b.connect(credentials.Bootstrap)
	if err != nil {
		return err
	}
	if err := b.prepare(ctx, credentials); err != nil {
		return err
	}
	name, uid, err := b.ask(ctx, fleetClient, credentials)
	if err != nil {
		return err
	}
	b.remind(ctx, credentials)
	waiting, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	certPEM, err := csr.WaitForCertificate(waiting, fleetClient, name, uid)
	if err != nil {
		return answerOf(ctx, fleetClient, name, err)
	}
	return b.store.Update(ctx, func(stored *Credentials) error {
		if !bytes.Equal(stored.Bootstrap, credentials.Bootstrap) || !bytes.Equal(stored.RequestKey, credentials.RequestKey) {
			return errReplaced
		}
		stored.Certificate, stored.Key = certPEM, credentials.RequestKey
		stored.Request, stored.RequestKey = "", nil
		return nil
	})
}

// bootstrapClient talks to the fleet with the bootstrap token.
func bootstrapClient(kubeconfig []byte) (kubernetes.Interface, error) {
	config, err := clientcmd.RESTConfigFromKubeConfig(kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("read the bootstrap kubeconfig: %w", err)
	}
	config.UserAgent = userAgent
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make a client to the fleet: %w", err)
	}
	return client, nil
}

// prepare stores name and key of a request before it is made, unless there are
// some already.
func (b *bootstrap) prepare(ctx context.Context, credentials *Credentials) error {
	if credentials.Request != "" && len(credentials.RequestKey) > 0 {
		return nil
	}
	return b.store.Update(ctx, func(stored *Credentials) error {
		if !bytes.Equal(stored.Bootstrap, credentials.Bootstrap) {
			return errReplaced
		}
		if len(stored.RequestKey) == 0 {
			key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
			if err != nil {
				return fmt.Errorf("make a key: %w", err)
			}
			if stored.RequestKey, err = keyutil.MarshalPrivateKeyToPEM(key); err != nil {
				return fmt.Errorf("encode the key: %w", err)
			}
		}
		if stored.Request == "" {
			stored.Request = requestName(b.cluster)
		}
		*credentials = *stored
		return nil
	})
}

// requestName is short enough for any cluster name.
func requestName(cluster string) string { return "fleet-" + cluster + "-" + utilrand.String(8) }

// forget lets the next attempt make another request with the same key.
func (b *bootstrap) forget(ctx context.Context, request string) {
	err := b.store.Update(ctx, func(stored *Credentials) error {
		if stored.Request == request {
			stored.Request = ""
		}
		return nil
	})
	if err != nil && ctx.Err() == nil {
		klog.FromContext(ctx).Info("Denied request was not forgotten, trying again", "reason", err.Error())
	}
}

// ask makes the request, or finds the one made before.
func (b *bootstrap) ask(ctx context.Context, fleetClient kubernetes.Interface, credentials *Credentials) (name string, uid types.UID, err error) {
	who, key, err := b.identity(credentials)
	if err != nil {
		return "", "", err
	}
	request, err := cert.MakeCSRFromTemplate(key, &x509.CertificateRequest{Subject: who.Subject()})
	if err != nil {
		return "", "", fmt.Errorf("make a certificate request: %w", err)
	}
	// Upstream says each time that it found the request again.
	ctx = klog.NewContext(ctx, klog.FromContext(ctx).V(2))
	return csr.RequestCertificateWithContext(ctx, fleetClient, request, credentials.Request, identity.Signer, &b.lifetime, identity.Usages(), key)
}

// identity is who the member is when accepted with the key of the request.
func (b *bootstrap) identity(credentials *Credentials) (identity.Identity, *ecdsa.PrivateKey, error) {
	parsed, err := keyutil.ParsePrivateKeyPEM(credentials.RequestKey)
	if err != nil {
		return identity.Identity{}, nil, fmt.Errorf("read the stored key: %w", err)
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return identity.Identity{}, nil, fmt.Errorf("read the stored key: want one for ECDSA, got %T", parsed)
	}
	fingerprint, err := identity.Fingerprint(key.Public())
	if err != nil {
		return identity.Identity{}, nil, err
	}
	who := identity.Identity{Cluster: b.cluster, ID: b.id, Registration: fingerprint}
	return who, key, who.Validate()
}

// remind says what the agent waits for, when it begins to and then seldom.
func (b *bootstrap) remind(ctx context.Context, credentials *Credentials) {
	if !b.reminded.IsZero() && b.clock.Since(b.reminded) < reminderInterval {
		return
	}
	b.reminded = b.clock.Now()
	who, _, err := b.identity(credentials)
	if err != nil {
		return
	}
	klog.FromContext(ctx).Info("Waiting for the fleet to accept this cluster, unless its token does; an administrator does it with \"fleet accept\"",
		"cluster", b.cluster, "id", b.id, "request", credentials.Request, "key", who.Registration)
}

// answerOf finds out why a wait for a certificate ended without one.
func answerOf(ctx context.Context, fleetClient kubernetes.Interface, name string, cause error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	request, err := fleetClient.CertificatesV1().CertificateSigningRequests().Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err): // cleaned up; it is made again
		return errPending
	case err != nil:
		return fmt.Errorf("look at request %q: %w", name, err)
	}
	if denied := denial(request); denied != nil {
		return denied
	}
	if wait.Interrupted(cause) {
		return errPending
	}
	return cause
}

// denial returns nil for a request that may still be granted.
func denial(request *certificatesv1.CertificateSigningRequest) error {
	for _, condition := range request.Status.Conditions {
		if condition.Type == certificatesv1.CertificateDenied || condition.Type == certificatesv1.CertificateFailed {
			return &deniedError{request: request.Name, reason: condition.Reason, message: condition.Message}
		}
	}
	return nil
}

// explain adds what to do to errors a user can do something about.
func explain(err error) string {
	if apierrors.IsUnauthorized(err) {
		return "the bootstrap token is not valid, or has expired: make another with \"fleet token create\" and register again"
	}
	return err.Error()
}

// rest waits, but not longer than the stored credentials stay the same.
func (b *bootstrap) rest(ctx context.Context, delay time.Duration, credentials Credentials) {
	until := b.clock.Now().Add(delay)
	for left := delay; left > 0; left = until.Sub(b.clock.Now()) {
		timer := b.clock.NewTimer(min(left, lookInterval))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C():
		}
		stored, err := b.store.Load(ctx)
		if err == nil && (!bytes.Equal(stored.Bootstrap, credentials.Bootstrap) || stored.Request != credentials.Request) {
			return
		}
	}
}

// delays are the times between attempts, longer after a denial than after a
// failure, and growing.
type delays struct{ failed, denied wait.DelayFunc }

func newDelays() delays {
	growing := func(first, most time.Duration) wait.DelayFunc {
		return wait.Backoff{Duration: first, Cap: most, Steps: 10, Factor: 2, Jitter: 0.2}.DelayFunc()
	}
	return delays{failed: growing(time.Second, 30*time.Second), denied: growing(time.Minute, 10*time.Minute)}
}
