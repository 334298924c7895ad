// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/apis/core"
)

// identityTimeout bounds how long etcd may take to tell who the fleet is.
const identityTimeout = 30 * time.Second

// fleetIdentity is what a fleet is known by to its members: the uid of its namespace
// kube-system, which is on everything it put there. A copy is kept beside the fleet's
// authorities, so that a fleet whose etcd was lost is the same afterwards: what
// it has in members is its own still, though it knows nothing of it.
type fleetIdentity struct {
	namespaces storage.Interface
	key        string
	file       string
}

// keepIdentity has etcd and the copy say the same. Before the first start there is
// neither; an etcd that has an identity is right. It returns the identity.
func keepIdentity(ctx context.Context, getter generic.RESTOptionsGetter, file string) (types.UID, error) {
	ctx, cancel := context.WithTimeout(ctx, identityTimeout)
	defer cancel()
	options, err := getter.GetRESTOptions(core.Resource("namespaces"), &core.Namespace{})
	if err != nil {
		return "", fmt.Errorf("find out how namespaces are stored: %w", err)
	}
	namespaces, destroy, err := generic.NewRawStorage(options.StorageConfig,
		func() runtime.Object { return &core.Namespace{} }, func() runtime.Object { return &core.NamespaceList{} }, "/"+options.ResourcePrefix)
	if err != nil {
		return "", fmt.Errorf("open the storage of namespaces: %w", err)
	}
	defer destroy()
	i := &fleetIdentity{namespaces: namespaces, key: "/" + options.ResourcePrefix + "/" + metav1.NamespaceSystem, file: file}
	identity, err := i.keep(ctx)
	if err != nil {
		return "", fmt.Errorf("keep the identity of the fleet: %w", err)
	}
	return identity, nil
}

func (i *fleetIdentity) keep(ctx context.Context) (types.UID, error) {
	stored, err := i.stored(ctx)
	if err != nil {
		return "", err
	}
	copied, err := i.copied()
	if err != nil {
		return "", err
	}
	if stored == "" {
		if stored, err = i.store(ctx, cmp.Or(copied, uuid.NewUUID())); err != nil {
			return "", err
		}
	}
	if stored == copied {
		return stored, nil
	}
	if err := i.copy(stored); err != nil {
		// The authorities may be where nobody can write.
		klog.FromContext(ctx).Error(err, "The identity of the fleet has no copy: if etcd is lost, members' objects will be strangers to the next one", "identity", stored)
	}
	return stored, nil
}

// stored returns the identity that etcd has, empty when it has none.
func (i *fleetIdentity) stored(ctx context.Context) (types.UID, error) {
	found := &core.Namespace{}
	err := i.namespaces.Get(ctx, i.key, storage.GetOptions{IgnoreNotFound: true}, found)
	return found.UID, err
}

// store makes the namespace with that uid, and returns the one that it has if another
// server was faster.
func (i *fleetIdentity) store(ctx context.Context, uid types.UID) (types.UID, error) {
	err := i.namespaces.Create(ctx, i.key, &core.Namespace{
		ObjectMeta: metav1.ObjectMeta{
			Name: metav1.NamespaceSystem, UID: uid, CreationTimestamp: metav1.Now(),
			Labels: map[string]string{corev1.LabelMetadataName: metav1.NamespaceSystem},
		},
		Spec:   core.NamespaceSpec{Finalizers: []core.FinalizerName{core.FinalizerKubernetes}},
		Status: core.NamespaceStatus{Phase: core.NamespaceActive},
	}, &core.Namespace{}, 0)
	if storage.IsExist(err) {
		return i.stored(ctx)
	}
	return uid, err
}

// copied returns the identity of the copy, empty when there is none.
func (i *fleetIdentity) copied() (types.UID, error) {
	raw, err := os.ReadFile(i.file)
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	return types.UID(strings.TrimSpace(string(raw))), err
}

// copy replaces the copy. A reader sees the old one or the new one.
func (i *fleetIdentity) copy(uid types.UID) error {
	next := filepath.Join(filepath.Dir(i.file), "."+filepath.Base(i.file))
	if err := os.WriteFile(next, []byte(string(uid)+"\n"), 0o600); err != nil {
		return err
	}
	return os.Rename(next, i.file)
}
