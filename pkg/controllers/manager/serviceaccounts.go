// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package manager

import (
	"context"
	"fmt"
	"os"

	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/controller/certificates/rootcacertpublisher"
	serviceaccountcontroller "k8s.io/kubernetes/pkg/controller/serviceaccount"
	"k8s.io/kubernetes/pkg/serviceaccount"
	"k8s.io/utils/clock"
)

// newServiceAccountToken fills Secrets of type service-account-token; it is off
// without the private key, as upstream.
func newServiceAccountToken(ctx context.Context, d *dependencies) (loop, error) {
	keyFile := d.kube.SAController.ServiceAccountKeyFile
	if keyFile == "" {
		return nil, nil
	}
	privateKey, err := keyutil.PrivateKeyFromFile(keyFile)
	if err != nil {
		return nil, fmt.Errorf("read the service account private key %s: %w", keyFile, err)
	}
	tokenGenerator, err := serviceaccount.JWTTokenGenerator(serviceaccount.LegacyIssuer, privateKey)
	if err != nil {
		return nil, fmt.Errorf("make the service account token generator: %w", err)
	}
	rootCA, err := d.rootCA()
	if err != nil {
		return nil, err
	}
	core := d.informers.typed.Core().V1()
	controller, err := serviceaccountcontroller.NewTokensController(klog.FromContext(ctx), core.ServiceAccounts(), core.Secrets(), d.client,
		serviceaccountcontroller.TokensControllerOptions{TokenGenerator: tokenGenerator, RootCA: rootCA})
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) { controller.Run(ctx, int(d.kube.SAController.ConcurrentSATokenSyncs)) }, nil
}

// newServiceAccount keeps the "default" ServiceAccount in every namespace.
func newServiceAccount(ctx context.Context, d *dependencies) (loop, error) {
	core := d.informers.typed.Core().V1()
	controller, err := serviceaccountcontroller.NewServiceAccountsController(klog.FromContext(ctx), core.ServiceAccounts(), core.Namespaces(), d.client,
		serviceaccountcontroller.DefaultServiceAccountsControllerOptions())
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) { controller.Run(ctx, 1) }, nil
}

// newLegacyTokenCleaner removes auto-generated token Secrets that are not used.
func newLegacyTokenCleaner(_ context.Context, d *dependencies) (loop, error) {
	core := d.informers.typed.Core().V1()
	controller, err := serviceaccountcontroller.NewLegacySATokenCleaner(core.ServiceAccounts(), core.Secrets(), core.Pods(), d.client, clock.RealClock{},
		serviceaccountcontroller.LegacySATokenCleanerOptions{
			CleanUpPeriod: d.kube.LegacySATokenCleaner.CleanUpPeriod.Duration,
			SyncInterval:  serviceaccountcontroller.DefaultCleanerSyncInterval,
		})
	if err != nil {
		return nil, err
	}
	return controller.Run, nil
}

// newRootCAPublisher keeps the ConfigMap kube-root-ca.crt in every namespace.
func newRootCAPublisher(_ context.Context, d *dependencies) (loop, error) {
	rootCA, err := d.rootCA()
	if err != nil {
		return nil, err
	}
	core := d.informers.typed.Core().V1()
	controller, err := rootcacertpublisher.NewPublisher(core.ConfigMaps(), core.Namespaces(), d.client, rootCA)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) { controller.Run(ctx, 1) }, nil
}

// rootCA returns the CA bundle that clients inside the fleet verify its API
// server with: the configured file, or the one this process itself uses.
func (d *dependencies) rootCA() ([]byte, error) {
	file := d.kube.SAController.RootCAFile
	if file == "" {
		file = d.config.CAFile
	}
	if file == "" {
		return d.config.CAData, nil
	}
	bundle, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the root CA: %w", err)
	}
	if _, err := cert.ParseCertsPEM(bundle); err != nil {
		return nil, fmt.Errorf("parse the root CA %s: %w", file, err)
	}
	return bundle, nil
}
