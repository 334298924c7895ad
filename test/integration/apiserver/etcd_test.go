// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"context"
	"crypto/x509"
	"errors"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	certutil "k8s.io/client-go/util/cert"
	kubeadmapi "k8s.io/kubernetes/cmd/kubeadm/app/apis/kubeadm"
	"k8s.io/kubernetes/cmd/kubeadm/app/util/pkiutil"

	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	fleetclient "fleet.dev/fleet/pkg/generated/clientset/versioned"
)

// externalEtcd is an etcd that wants client certificates.
type externalEtcd struct {
	endpoint string
	files    transport.TLSInfo
}

func startExternalEtcd(t *testing.T) externalEtcd {
	t.Helper()
	dir := t.TempDir()
	ca, caKey, err := pkiutil.NewCertificateAuthority(&pkiutil.CertConfig{
		Config: certutil.Config{CommonName: "etcd-ca"}, EncryptionAlgorithm: kubeadmapi.EncryptionAlgorithmECDSAP256,
	})
	if err != nil {
		t.Fatal(err)
	}
	issue := func(name string, usage x509.ExtKeyUsage) {
		cert, key, err := pkiutil.NewCertAndKey(ca, caKey, &pkiutil.CertConfig{
			Config: certutil.Config{
				CommonName: name, Usages: []x509.ExtKeyUsage{usage},
				AltNames: certutil.AltNames{IPs: []net.IP{net.IPv4(127, 0, 0, 1)}},
			},
			EncryptionAlgorithm: kubeadmapi.EncryptionAlgorithmECDSAP256,
		})
		if err := errors.Join(err, pkiutil.WriteCertAndKey(dir, name, cert, key)); err != nil {
			t.Fatal(err)
		}
	}
	issue("server", x509.ExtKeyUsageServerAuth)
	issue("client", x509.ExtKeyUsageClientAuth)
	if err := pkiutil.WriteCert(dir, "ca", ca); err != nil {
		t.Fatal(err)
	}
	file := func(name string) string { return filepath.Join(dir, name) }

	cfg := embed.NewConfig()
	cfg.Dir = file("data")
	cfg.LogLevel = "fatal"
	cfg.UnsafeNoFsync = true
	cfg.ListenClientUrls = []url.URL{{Scheme: "https", Host: "127.0.0.1:0"}}
	cfg.ListenPeerUrls = nil
	cfg.ClientTLSInfo = transport.TLSInfo{
		CertFile: file("server.crt"), KeyFile: file("server.key"), TrustedCAFile: file("ca.crt"), ClientCertAuth: true,
	}
	server, err := embed.StartEtcd(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	select {
	case <-server.Server.ReadyNotify():
	case <-time.After(startTimeout):
		t.Fatal("etcd is not ready")
	}
	return externalEtcd{
		endpoint: "https://" + server.Clients[0].Addr().String(),
		files:    transport.TLSInfo{CertFile: file("client.crt"), KeyFile: file("client.key"), TrustedCAFile: file("ca.crt")},
	}
}

func TestExternalEtcd(t *testing.T) {
	t.Parallel()
	etcd := startExternalEtcd(t)
	servers, ca := "--etcd-servers="+etcd.endpoint, "--etcd-cafile="+etcd.files.TrustedCAFile
	credentials := []string{servers, ca, "--etcd-certfile=" + etcd.files.CertFile, "--etcd-keyfile=" + etcd.files.KeyFile}
	newDir := func(t *testing.T) string {
		t.Helper()
		return filepath.Join(t.TempDir(), "fleet")
	}

	t.Run("WithoutCA", func(t *testing.T) {
		p := start(t, "--data-dir="+newDir(t), servers)
		expectExit(t, p, stopTimeout, "reach etcd (--etcd-servers) "+etcd.endpoint+": tls: failed to verify certificate: x509: certificate signed by unknown authority")
	})
	t.Run("WithoutClientCertificate", func(t *testing.T) {
		p := start(t, "--data-dir="+newDir(t), servers, ca)
		expectExit(t, p, stopTimeout, "reach etcd (--etcd-servers) "+etcd.endpoint+": remote error: tls: certificate required")
	})
	t.Run("WithoutKeyFile", func(t *testing.T) {
		p := start(t, "--data-dir="+newDir(t), servers, ca, "--etcd-certfile="+etcd.files.CertFile)
		expectExit(t, p, stopTimeout, "--etcd-keyfile")
	})
	t.Run("StoresEverythingThere", func(t *testing.T) {
		dir := newDir(t)
		server, config := serve(t, dir, credentials...)
		kube, fleet := kubernetes.NewForConfigOrDie(config), fleetclient.NewForConfigOrDie(config)
		if _, err := kube.CoreV1().ConfigMaps("default").Create(t.Context(), configMap("kept"), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		made, err := kube.AppsV1().Deployments("default").Create(t.Context(), deployment("web"), metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		place(t, fleet, made)
		until(t, "works are rendered from the external etcd", func() bool {
			works, err := fleet.WorkV1alpha1().Works("fleet-cluster-m1").List(t.Context(), metav1.ListOptions{})
			return err == nil && len(works.Items) == 1
		})
		server.terminate(t)

		if _, err := os.Stat(filepath.Join(dir, "etcd")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("there is an etcd in the data directory beside the external one: %v", err)
		}
		tlsConfig, err := etcd.files.ClientConfig()
		if err != nil {
			t.Fatal(err)
		}
		client, err := clientv3.New(clientv3.Config{Endpoints: []string{etcd.endpoint}, TLS: tlsConfig})
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close() //nolint:errcheck // read only
		ctx, cancel := context.WithTimeout(t.Context(), stopTimeout)
		defer cancel()
		for _, key := range []string{"/registry/configmaps/default/kept", "/registry/deployments/default/web", "/registry/resourcebindings/default/web-deployment"} {
			if found, err := client.Get(ctx, key, clientv3.WithCountOnly()); err != nil || found.Count != 1 {
				t.Errorf("what was acknowledged before SIGTERM is in etcd: want key %s, got %+v, %v", key, found, err)
			}
		}
	})
}

// place writes the decision that the Deployment runs on m1.
func place(t *testing.T, fleet fleetclient.Interface, template *appsv1.Deployment) {
	t.Helper()
	if _, err := fleet.WorkV1alpha1().ResourceBindings(template.Namespace).Create(t.Context(), &workv1alpha1.ResourceBinding{
		ObjectMeta: metav1.ObjectMeta{Name: workv1alpha1.BindingName("Deployment", template.Name)},
		Spec: workv1alpha1.BindingSpec{
			Resource: workv1alpha1.ObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Namespace: template.Namespace, Name: template.Name, UID: template.UID},
			Clusters: []workv1alpha1.TargetCluster{{Name: "m1", Replicas: 1}},
		},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}
