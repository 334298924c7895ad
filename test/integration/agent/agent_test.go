// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"slices"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"

	"fleet.dev/fleet/cmd/fleet/register"
	"fleet.dev/fleet/pkg/agent"
	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/pkg/apis/wellknown"
	fleetclient "fleet.dev/fleet/pkg/generated/clientset/versioned"
)

// TestJoin follows a cluster into the fleet, with an agent that is killed while it
// waits, and out again.
func TestJoin(t *testing.T) {
	t.Parallel()
	r := newRig(t, 24*time.Hour)
	r.makeToken()
	installation := r.register()
	var said progress
	await, awaited := context.WithTimeout(t.Context(), 2*patience)
	defer awaited()
	joined := make(chan error, 1)
	go func() { joined <- r.administrator().Await(await, installation, said.say) }()

	kill, _ := r.start()
	pending := r.awaitCluster("the cluster asks to join", func(*clusterv1alpha1.Cluster) bool { return true })
	if pending.Spec.Accepted || pending.Spec.SyncMode != clusterv1alpha1.Pull {
		t.Errorf("nobody accepted it: %+v", pending.Spec)
	}
	before := r.credentials()
	kill()
	kill, _ = r.start()
	r.eventually("the agent asks again", func(context.Context) (bool, error) { return said.contains("waiting for acceptance"), nil })
	if now := r.credentials(); now.Request != before.Request || !bytes.Equal(now.RequestKey, before.RequestKey) || len(now.Certificate) > 0 {
		t.Error("an agent killed while it waits goes on with its key and its request")
	}

	r.place("settings")
	r.accept()
	r.awaitPlaced("settings", 0)
	if err := <-joined; err != nil {
		t.Errorf("who registered sees it through: Await(): %v", err)
	}
	if !said.contains("connected and ready") {
		t.Errorf("who registered is told: %q", said.all())
	}
	if key := r.credentials().Key; !bytes.Equal(key, before.RequestKey) {
		t.Error("the certificate is for the key the administrator accepted")
	}

	r.eventually("the fleet's users reach the member through the tunnel", func(ctx context.Context) (bool, error) {
		object := &corev1.ConfigMap{}
		err := r.fleet.Kube.CoreV1().RESTClient().Get().
			AbsPath("/apis/cluster.fleet.dev/v1alpha1/clusters", cluster, "proxy/api/v1/namespaces/default/configmaps/settings").Do(ctx).Into(object)
		return object.Annotations[wellknown.AnnotationFleetID] != "", err
	})

	// A crash loses nothing and changes nothing.
	version := r.awaitPlaced("settings", 0).ResourceVersion
	kill()
	r.place("more")
	_, ended := r.start()
	r.awaitPlaced("more", 0)
	if got := r.awaitPlaced("settings", 0).ResourceVersion; got != version {
		t.Error("a restart writes nothing to what is as it should be")
	}

	if err := r.fleet.Fleet.ClusterV1alpha1().Clusters().Delete(t.Context(), cluster, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if !errors.Is(err, agent.ErrLeft) {
			t.Errorf("Run(): %v, want %v", err, agent.ErrLeft)
		}
	case <-time.After(patience):
		t.Fatalf("the agent does not notice within %s that its member has left", patience)
	}
	if _, err := r.member.Kube.RbacV1().ClusterRoles().Get(t.Context(), wellknown.AgentName, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the agent takes its installation along: %v", err)
	}
	if left := r.credentials(); !left.Left || len(left.Bootstrap) > 0 || len(left.Key) > 0 {
		t.Error("no credentials are left behind")
	}
	if _, err := r.member.Kube.CoreV1().ConfigMaps(metav1.NamespaceDefault).Get(t.Context(), "settings", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the fleet's objects went first: %v", err)
	}

	_, ended = r.startWith(r.member.Config)
	if err := <-ended; !errors.Is(err, agent.ErrLeft) {
		t.Errorf("an agent that is restarted does not join again: Run(): %v", err)
	}
	installation = r.register()
	if left := r.credentials().Left; left {
		t.Error("a cluster that left can register again")
	}
	other := installation
	other.Cluster = "rome"
	if err := r.administrator().Install(t.Context(), other, false); !errors.Is(err, register.ErrMember) {
		t.Errorf("one cluster is one member: Install(): %v, want %v", err, register.ErrMember)
	}
}

// TestRotation lets the certificate expire again and again while templates change.
func TestRotation(t *testing.T) {
	t.Parallel()
	// Certificates are backdated by five minutes, so that one for half a minute is
	// due for rotation as soon as it is there.
	r := newRig(t, 30*time.Second)
	r.makeToken(wellknown.GroupAgentAutoAccept)
	r.register()
	_, ended := r.start()
	names := []string{"a", "b", "c"}
	uids := map[string]string{}
	for _, name := range names {
		r.place(name)
	}
	for _, name := range names {
		uids[name] = string(r.awaitPlaced(name, 0).UID)
	}
	serials := []string{r.serial()}
	began := time.Now()
	for n := 1; len(serials) < 4 || time.Since(began) < 15*time.Second; n++ {
		if time.Since(began) > 2*patience {
			t.Fatalf("certificates are not rotated: %v", serials)
		}
		for _, name := range names {
			r.edit(name, n)
		}
		for _, name := range names {
			if got := r.awaitPlaced(name, n); string(got.UID) != uids[name] {
				t.Fatalf("%s was deleted and made again", name)
			}
		}
		if serial := r.serial(); serial != serials[len(serials)-1] {
			serials = append(serials, serial)
		}
	}
	t.Logf("%d certificates in %s", len(serials), time.Since(began).Round(time.Second))
	select {
	case err := <-ended:
		t.Errorf("the agent ended: %v", err)
	default:
	}
	for _, name := range names {
		binding, err := r.fleet.Fleet.WorkV1alpha1().ResourceBindings(metav1.NamespaceDefault).Get(t.Context(), name+"-configmap", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, status := range binding.Status.AggregatedStatus {
			if status.AppliedMessage != "" {
				t.Errorf("no apply failed: %s: %s", name, status.AppliedMessage)
			}
		}
	}
}

// TestExpired starts an agent that was off for longer than its certificate lived.
func TestExpired(t *testing.T) {
	t.Parallel()
	r := newRig(t, 24*time.Hour)
	r.makeToken(wellknown.GroupAgentAutoAccept)
	r.register()
	kill, _ := r.start()
	r.place("settings")
	r.awaitPlaced("settings", 0)
	kill()
	if err := r.fleet.Kube.CoreV1().Secrets(metav1.NamespaceSystem).Delete(t.Context(), "bootstrap-token-abcdef", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	r.expire()
	expired := r.serial()

	r.edit("settings", 1)
	r.start()
	r.awaitPlaced("settings", 1)
	if r.serial() == expired {
		t.Error("the agent works with a certificate that has expired")
	}
}

// TestReject takes the acceptance back.
func TestReject(t *testing.T) {
	t.Parallel()
	r := newRig(t, 24*time.Hour)
	r.makeToken(wellknown.GroupAgentAutoAccept)
	r.register()
	_, ended := r.start()
	r.place("settings")
	uid := r.awaitPlaced("settings", 0).UID
	r.setAccepted(false)
	r.eventually("the agent is refused", func(ctx context.Context) (bool, error) {
		_, err := r.asAgent().WorkV1alpha1().Works(clusterv1alpha1.MemberNamespace(cluster)).List(ctx, metav1.ListOptions{})
		return apierrors.IsForbidden(err), nil
	})
	r.edit("settings", 1)
	r.setAccepted(true)
	if got := r.awaitPlaced("settings", 1); got.UID != uid {
		t.Error("what runs keeps running meanwhile")
	}
	select {
	case err := <-ended:
		t.Errorf("an agent that is refused keeps trying, it ended: %v", err)
	default:
	}
}

// asAgent is who has the agent's certificate.
func (r *rig) asAgent() fleetclient.Interface {
	r.Helper()
	config := rest.AnonymousClientConfig(r.fleet.Config)
	credentials := r.credentials()
	config.CertData, config.KeyData = credentials.Certificate, credentials.Key
	client, err := fleetclient.NewForConfig(config)
	if err != nil {
		r.Fatal(err)
	}
	return client
}

// serial is the number of the certificate the agent has.
func (r *rig) serial() string {
	r.Helper()
	credentials := r.credentials()
	pair, err := tls.X509KeyPair(credentials.Certificate, credentials.Key)
	if err != nil {
		r.Fatal(err)
	}
	return pair.Leaf.SerialNumber.String()
}

// expire replaces the certificate of the agent by one that expired a moment ago,
// when the CA of the test was there already.
func (r *rig) expire() {
	r.Helper()
	authorities, err := cert.ParseCertsPEM(readFile(r.T, r.pki("ca.crt")))
	if err != nil {
		r.Fatal(err)
	}
	key, err := keyutil.ParsePrivateKeyPEM(readFile(r.T, r.pki("ca.key")))
	if err != nil {
		r.Fatal(err)
	}
	err = agent.NewSecretStore(r.member.Kube.CoreV1()).Update(r.Context(), func(credentials *agent.Credentials) error {
		pair, err := tls.X509KeyPair(credentials.Certificate, credentials.Key)
		if err != nil {
			return err
		}
		template := *pair.Leaf
		template.SerialNumber = big.NewInt(time.Now().UnixNano())
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(-time.Second)
		der, err := x509.CreateCertificate(rand.Reader, &template, authorities[0], pair.Leaf.PublicKey, key.(crypto.Signer))
		if err != nil {
			return err
		}
		credentials.Certificate = pem.EncodeToMemory(&pem.Block{Type: cert.CertificateBlockType, Bytes: der})
		return nil
	})
	if err != nil {
		r.Fatal(err)
	}
}

// progress is what a user was told.
type progress struct {
	mu    sync.Mutex
	lines []string
}

func (p *progress) say(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lines = append(p.lines, line)
}

func (p *progress) all() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.lines)
}

func (p *progress) contains(text string) bool {
	return slices.ContainsFunc(p.all(), func(line string) bool { return bytes.Contains([]byte(line), []byte(text)) })
}
