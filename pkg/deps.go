//go:build tools

package pkg

import (
	_ "go.etcd.io/etcd/server/v3"
	_ "go.etcd.io/etcd/server/v3/embed"
	_ "go.etcd.io/etcd/client/v3"
	_ "k8s.io/kubernetes/cmd/kube-apiserver"
	_ "k8s.io/kubernetes/cmd/kube-controller-manager"
	_ "k8s.io/kubernetes/cmd/kube-scheduler"
	_ "k8s.io/kubernetes/cmd/kubectl"
	_ "k8s.io/code-generator"
	_ "k8s.io/kubernetes/cmd/kubeadm/app/util/pkiutil"
	_ "sigs.k8s.io/structured-merge-diff/v6/typed"
	_ "github.com/google/go-cmp/cmp"
	_ "github.com/evanphx/json-patch"
	_ "gopkg.in/evanphx/json-patch.v4"
	_ "sigs.k8s.io/yaml"
	_ "sigs.k8s.io/randfill"
)
