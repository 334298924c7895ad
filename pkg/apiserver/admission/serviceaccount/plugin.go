// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package serviceaccount

import (
	"cmp"
	"context"
	"fmt"
	"io"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/initializer"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corev1listers "k8s.io/client-go/listers/core/v1"
	"k8s.io/kubernetes/pkg/apis/core"
	"k8s.io/kubernetes/plugin/pkg/admission/serviceaccount"
)

// PluginName is the name of the plugin in flags.
const PluginName = "PodServiceAccount"

// Register adds the plugin to those that can be enabled.
func Register(plugins *admission.Plugins) {
	plugins.Register(PluginName, func(io.Reader) (admission.Interface, error) { return New(), nil })
}

// Plugin gives Pods their ServiceAccount.
type Plugin struct {
	*admission.Handler

	upstream *serviceaccount.Plugin
	accounts corev1listers.ServiceAccountLister
	client   kubernetes.Interface
}

var (
	_ admission.MutationInterface                  = &Plugin{}
	_ admission.InitializationValidator            = &Plugin{}
	_ initializer.WantsExternalKubeClientSet       = &Plugin{}
	_ initializer.WantsExternalKubeInformerFactory = &Plugin{}
)

// New returns the plugin without a client.
func New() *Plugin {
	return &Plugin{Handler: admission.NewHandler(admission.Create), upstream: serviceaccount.NewServiceAccount()}
}

// SetExternalKubeClientSet implements initializer.WantsExternalKubeClientSet.
func (p *Plugin) SetExternalKubeClientSet(client kubernetes.Interface) {
	p.client = client
	p.upstream.SetExternalKubeClientSet(client)
}

// SetExternalKubeInformerFactory implements initializer.WantsExternalKubeInformerFactory.
func (p *Plugin) SetExternalKubeInformerFactory(factory informers.SharedInformerFactory) {
	p.accounts = factory.Core().V1().ServiceAccounts().Lister()
	p.upstream.SetExternalKubeInformerFactory(factory)
}

// ValidateInitialization implements admission.InitializationValidator.
func (p *Plugin) ValidateInitialization() error { return p.upstream.ValidateInitialization() }

// Admit implements admission.MutationInterface.
func (p *Plugin) Admit(ctx context.Context, a admission.Attributes, o admission.ObjectInterfaces) error {
	pod, ok := a.GetObject().(*core.Pod)
	if !ok || a.GetSubresource() != "" {
		return nil
	}
	if _, isMirror := pod.Annotations[core.MirrorPodAnnotationKey]; isMirror {
		return nil
	}
	pod.Spec.ServiceAccountName = cmp.Or(pod.Spec.ServiceAccountName, serviceaccount.DefaultServiceAccountName)
	exists, err := p.exists(ctx, a.GetNamespace(), pod.Spec.ServiceAccountName)
	if err != nil {
		return apierrors.NewInternalError(fmt.Errorf("look up service account %s/%s: %w", a.GetNamespace(), pod.Spec.ServiceAccountName, err))
	}
	if !exists {
		return nil
	}
	return p.upstream.Admit(ctx, a, o)
}

// exists says whether there is a ServiceAccount. One that is not known yet is asked for.
func (p *Plugin) exists(ctx context.Context, namespace, name string) (bool, error) {
	_, err := p.accounts.ServiceAccounts(namespace).Get(name)
	if apierrors.IsNotFound(err) {
		_, err = p.client.CoreV1().ServiceAccounts(namespace).Get(ctx, name, metav1.GetOptions{})
	}
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	return err == nil, err
}
