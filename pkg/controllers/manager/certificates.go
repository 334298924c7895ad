// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package manager

import (
	"context"
	"fmt"

	certificatesv1 "k8s.io/api/certificates/v1"
	certificatesv1beta1 "k8s.io/api/certificates/v1beta1"
	"k8s.io/kubernetes/pkg/controller/bootstrap"
	"k8s.io/kubernetes/pkg/controller/certificates/approver"
	"k8s.io/kubernetes/pkg/controller/certificates/cleaner"
	"k8s.io/kubernetes/pkg/controller/certificates/signer"
	signerconfig "k8s.io/kubernetes/pkg/controller/certificates/signer/config"
)

// csrWorkers is the number of workers of each certificate controller: signing
// is quick and certificates are few.
const csrWorkers = 2

// newCSRSigning signs approved requests of the four signers of kubernetes.io;
// it is off without a signing key, as upstream.
func newCSRSigning(ctx context.Context, d *dependencies) (loop, error) {
	config := d.kube.CSRSigningController
	requests := d.informers.typed.Certificates().V1().CertificateSigningRequests()
	var runs []loop
	for _, s := range []struct {
		queue, signer string
		files         signerconfig.CSRSigningConfiguration
	}{
		{"csrsigning-kubelet-serving", certificatesv1.KubeletServingSignerName, config.KubeletServingSignerConfiguration},
		{"csrsigning-kubelet-client", certificatesv1.KubeAPIServerClientKubeletSignerName, config.KubeletClientSignerConfiguration},
		{"csrsigning-kube-apiserver-client", certificatesv1.KubeAPIServerClientSignerName, config.KubeAPIServerClientSignerConfiguration},
		{"csrsigning-legacy-unknown", certificatesv1beta1.LegacyUnknownSignerName, config.LegacyUnknownSignerConfiguration},
	} {
		certFile, keyFile := signerFiles(config, s.files)
		if certFile == "" && keyFile == "" {
			continue
		}
		controller, err := signer.NewCSRSigningController(ctx, s.queue, s.signer, d.client, requests, certFile, keyFile, config.ClusterSigningDuration.Duration)
		if err != nil {
			return nil, fmt.Errorf("make the signer %s: %w", s.signer, err)
		}
		runs = append(runs, func(ctx context.Context) { controller.Run(ctx, csrWorkers) })
	}
	return together(runs...), nil
}

// signerFiles returns the key pair of one signer: once any signer has a pair of
// its own, the cluster-wide pair is used by none (upstream's rule).
func signerFiles(config signerconfig.CSRSigningControllerConfiguration, own signerconfig.CSRSigningConfiguration) (certFile, keyFile string) {
	for _, c := range []signerconfig.CSRSigningConfiguration{
		config.KubeletServingSignerConfiguration, config.KubeletClientSignerConfiguration,
		config.KubeAPIServerClientSignerConfiguration, config.LegacyUnknownSignerConfiguration,
	} {
		if c.CertFile != "" || c.KeyFile != "" {
			return own.CertFile, own.KeyFile
		}
	}
	return config.ClusterSigningCertFile, config.ClusterSigningKeyFile
}

// newCSRApproving approves requests that the requestor may have by RBAC.
func newCSRApproving(ctx context.Context, d *dependencies) (loop, error) {
	controller := approver.NewCSRApprovingController(ctx, d.client, d.informers.typed.Certificates().V1().CertificateSigningRequests())
	return func(ctx context.Context) { controller.Run(ctx, csrWorkers) }, nil
}

// newCSRCleaner removes requests that were decided or forgotten.
func newCSRCleaner(_ context.Context, d *dependencies) (loop, error) {
	controller := cleaner.NewCSRCleanerController(d.client.CertificatesV1().CertificateSigningRequests(),
		d.informers.typed.Certificates().V1().CertificateSigningRequests())
	return func(ctx context.Context) { controller.Run(ctx, 1) }, nil
}

// newBootstrapSigner signs kube-public/cluster-info with every bootstrap token.
func newBootstrapSigner(_ context.Context, d *dependencies) (loop, error) {
	core := d.informers.typed.Core().V1()
	controller, err := bootstrap.NewSigner(d.client, core.Secrets(), core.ConfigMaps(), bootstrap.DefaultSignerOptions())
	if err != nil {
		return nil, err
	}
	return controller.Run, nil
}

// newTokenCleaner removes expired bootstrap tokens.
func newTokenCleaner(_ context.Context, d *dependencies) (loop, error) {
	controller, err := bootstrap.NewTokenCleaner(d.client, d.informers.typed.Core().V1().Secrets(), bootstrap.DefaultTokenCleanerOptions())
	if err != nil {
		return nil, err
	}
	return controller.Run, nil
}
