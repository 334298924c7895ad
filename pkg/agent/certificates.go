// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"sync/atomic"
	"time"

	"k8s.io/client-go/util/certificate"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
)

// storeTimeout bounds writing a new certificate; upstream's interface takes no
// context.
const storeTimeout = 30 * time.Second

// certificates is the Store as upstream's certificate.Manager sees it. The
// certificate of the moment is in memory and is given out also when it has
// expired: it still proves who asks for the next one.
type certificates struct {
	store Store
	// bootstrap the certificates descend from; under another one nothing is
	// stored any more.
	bootstrap []byte
	current   atomic.Pointer[tls.Certificate]
	// renewed is called after a change. It must not block.
	renewed func()
}

var _ certificate.Store = &certificates{}

// newCertificates takes up the certificate in credentials.
func newCertificates(store Store, credentials Credentials) (*certificates, error) {
	pair, err := tls.X509KeyPair(credentials.Certificate, credentials.Key)
	if err != nil {
		return nil, fmt.Errorf("read the certificate of the agent: %w", err)
	}
	c := &certificates{store: store, bootstrap: credentials.Bootstrap, renewed: func() {}}
	c.take(&pair)
	return c, nil
}

func (c *certificates) take(pair *tls.Certificate) {
	c.current.Store(pair)
	certificateExpiration.Set(float64(pair.Leaf.NotAfter.Unix()))
}

// Current implements certificate.Store.
func (c *certificates) Current() (*tls.Certificate, error) { return c.current.Load(), nil }

// Update implements certificate.Store.
func (c *certificates) Update(certPEM, keyPEM []byte) (*tls.Certificate, error) {
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, fmt.Errorf("read the new certificate of the agent: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout) //nolint:forbidigo // the interface takes no ctx
	defer cancel()
	err = c.store.Update(ctx, func(stored *Credentials) error {
		if !bytes.Equal(stored.Bootstrap, c.bootstrap) {
			return errReplaced
		}
		stored.Certificate, stored.Key = certPEM, keyPEM
		return nil
	})
	if err != nil {
		return nil, err
	}
	c.take(&pair)
	c.renewed()
	return &pair, nil
}

// renewalFailures counts failures to renew a certificate, and says what to do when
// it is too late.
type renewalFailures struct {
	certificates *certificates
	clock        clock.Clock
	logger       klog.Logger
}

var _ certificate.Counter = &renewalFailures{}

// Inc implements certificate.Counter.
func (f *renewalFailures) Inc() {
	certificateFailures.Inc()
	if expired := f.certificates.current.Load().Leaf.NotAfter; f.clock.Now().After(expired) {
		f.logger.Info("The certificate of the agent has expired and the fleet does not renew it yet; "+
			"register the cluster again if it has left the fleet, or was cut off for very long", "expired", expired)
	}
}
