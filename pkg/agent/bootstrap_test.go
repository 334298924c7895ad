// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/util/keyutil"
	"k8s.io/utils/clock"

	"fleet.dev/fleet/pkg/apis/cluster/identity"
)

const (
	testCluster = "paris"
	testID      = "0b7f9b4e-7f0c-4a41-8d4e-5d0c0b8d2f11"
)

// authority signs as the fleet does.
type authority struct {
	*testing.T
	key         *ecdsa.PrivateKey
	certificate *x509.Certificate
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ca"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{T: t, key: key, certificate: certificate}
}

// sign returns a certificate for a PEM request that is valid for a while.
func (a *authority) sign(request []byte, life time.Duration) []byte {
	a.Helper()
	block, _ := pem.Decode(request)
	if block == nil {
		a.Fatalf("no PEM block in %q", request)
	}
	parsed, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		a.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: parsed.Subject,
		NotBefore: time.Now().Add(-5 * time.Minute), NotAfter: time.Now().Add(life),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, parsed.PublicKey, a.key)
	if err != nil {
		a.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// fakeFleet is the part of the fleet that answers certificate signing requests.
type fakeFleet struct {
	*testing.T
	*authority
	client *fake.Clientset
}

func newFakeFleet(t *testing.T) *fakeFleet {
	t.Helper()
	f := &fakeFleet{T: t, authority: newAuthority(t), client: fake.NewClientset()}
	f.client.PrependReactor("create", "certificatesigningrequests", func(action clienttesting.Action) (bool, runtime.Object, error) {
		request := action.(clienttesting.CreateAction).GetObject().(*certificatesv1.CertificateSigningRequest)
		request.UID = types.UID("uid-of-" + request.Name)
		return false, nil, nil
	})
	f.selectByName()
	return f
}

// selectByName teaches the fake client the field selector it ignores.
func (f *fakeFleet) selectByName() {
	resource, kind := certificatesv1.SchemeGroupVersion.WithResource("certificatesigningrequests"), certificatesv1.SchemeGroupVersion.WithKind("CertificateSigningRequest")
	selected := func(by fields.Selector, request *certificatesv1.CertificateSigningRequest) bool {
		return by.Matches(fields.Set{metav1.ObjectNameField: request.Name})
	}
	f.client.PrependReactor("list", resource.Resource, func(action clienttesting.Action) (bool, runtime.Object, error) {
		all, err := f.client.Tracker().List(resource, kind, "")
		if err != nil {
			return true, nil, err
		}
		list := all.(*certificatesv1.CertificateSigningRequestList)
		by := action.(clienttesting.ListAction).GetListRestrictions().Fields
		list.Items = slices.DeleteFunc(list.Items, func(r certificatesv1.CertificateSigningRequest) bool { return !selected(by, &r) })
		return true, list, nil
	})
	f.client.PrependWatchReactor(resource.Resource, func(action clienttesting.Action) (bool, watch.Interface, error) {
		all, err := f.client.Tracker().Watch(resource, "")
		if err != nil {
			return true, nil, err
		}
		by := action.(clienttesting.WatchAction).GetWatchRestrictions().Fields
		return true, watch.Filter(all, func(e watch.Event) (watch.Event, bool) {
			request, ok := e.Object.(*certificatesv1.CertificateSigningRequest)
			return e, ok && selected(by, request)
		}), nil
	})
}

func (f *fakeFleet) requests() []certificatesv1.CertificateSigningRequest {
	f.Helper()
	list, err := f.client.CertificatesV1().CertificateSigningRequests().List(f.Context(), metav1.ListOptions{})
	if err != nil {
		f.Fatal(err)
	}
	return list.Items
}

// only returns the one request there is.
func (f *fakeFleet) only() *certificatesv1.CertificateSigningRequest {
	f.Helper()
	requests := f.requests()
	if len(requests) != 1 {
		f.Fatalf("%d requests, want one", len(requests))
	}
	return &requests[0]
}

// answer gives a request a condition and, when it is approved, a certificate.
func (f *fakeFleet) answer(request *certificatesv1.CertificateSigningRequest, answer certificatesv1.RequestConditionType) {
	f.Helper()
	request.Status.Conditions = append(request.Status.Conditions, certificatesv1.CertificateSigningRequestCondition{
		Type: answer, Status: corev1.ConditionTrue, Reason: "Test", Message: "because",
	})
	if answer == certificatesv1.CertificateApproved {
		request.Status.Certificate = f.sign(request.Spec.Request, time.Hour)
	}
	if _, err := f.client.CertificatesV1().CertificateSigningRequests().UpdateStatus(f.Context(), request, metav1.UpdateOptions{}); err != nil {
		f.Fatal(err)
	}
}

// answerAll answers the requests nobody has answered, and returns their number.
func (f *fakeFleet) answerAll(answer certificatesv1.RequestConditionType) int {
	f.Helper()
	count := 0
	for _, request := range f.requests() {
		if len(request.Status.Conditions) == 0 {
			f.answer(&request, answer)
			count++
		}
	}
	return count
}

// bootstrap returns what an agent starts with.
func (f *fakeFleet) bootstrap(store Store) *bootstrap {
	return &bootstrap{
		cluster: testCluster, id: testID, lifetime: time.Hour, store: store, clock: clock.RealClock{},
		connect: func([]byte) (kubernetes.Interface, error) { return f.client, nil },
	}
}

// start runs a bootstrap until stop, or until it has a certificate.
func (f *fakeFleet) start(store Store) (stop func()) {
	ctx, cancel := context.WithCancel(f.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := f.bootstrap(store).run(ctx); err != nil && !errors.Is(err, context.Canceled) {
			f.Errorf("run(): %v", err)
		}
	}()
	return func() { cancel(); <-done }
}

func stored(t *testing.T, store Store) Credentials {
	t.Helper()
	credentials, err := store.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return credentials
}

// checkIssued fails unless the store holds a certificate for key.
func checkIssued(t *testing.T, store Store, key []byte) {
	t.Helper()
	got := stored(t, store)
	if len(got.Certificate) == 0 || got.Request != "" || len(got.RequestKey) > 0 {
		t.Fatalf("want a certificate and no request any more, got %d bytes of certificate and request %q", len(got.Certificate), got.Request)
	}
	if diff := cmp.Diff(string(key), string(got.Key)); diff != "" {
		t.Errorf("the key is the one the request was made with: -want +got:\n%s", diff)
	}
	certificates, err := newCertificates(store, got)
	if err != nil {
		t.Fatal(err)
	}
	who, err := identity.FromCertificate(certificates.current.Load().Leaf)
	if err != nil || who.Cluster != testCluster || who.ID != testID {
		t.Errorf("the certificate is for %+v (%v), want this member", who, err)
	}
}

// settle lets a bootstrap get as far as it can without an answer. Tests
// run in a bubble, so time passes only when all is still.
func settle() {
	time.Sleep(time.Second)
	synctest.Wait()
}

func TestBootstrap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fleet := newFakeFleet(t)
		store := NewMemoryStore(Credentials{Bootstrap: []byte("b")})
		stop := fleet.start(store)
		settle()

		key := stored(t, store).RequestKey
		request := fleet.only()
		parsed, err := identity.ParseRequest(&request.Spec)
		if err != nil {
			t.Fatalf("the request is as the fleet wants it: %v", err)
		}
		private, err := keyutil.ParsePrivateKeyPEM(key)
		if err != nil {
			t.Fatal(err)
		}
		fingerprint, err := identity.Fingerprint(private.(*ecdsa.PrivateKey).Public())
		if err != nil {
			t.Fatal(err)
		}
		want := identity.Request{Identity: identity.Identity{Cluster: testCluster, ID: testID, Registration: fingerprint}, Key: fingerprint}
		if diff := cmp.Diff(want, parsed); diff != "" {
			t.Errorf("the first key is the registration: -want +got:\n%s", diff)
		}

		time.Sleep(time.Hour)
		if got := fleet.only().Name; got != request.Name {
			t.Errorf("an unanswered request is waited for, not repeated: %s became %s", request.Name, got)
		}
		fleet.answer(fleet.only(), certificatesv1.CertificateApproved)
		settle()
		checkIssued(t, store, key)
		stop()
	})
}

// TestBootstrapRestart kills the agent while it waits.
func TestBootstrapRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fleet := newFakeFleet(t)
		store := NewMemoryStore(Credentials{Bootstrap: []byte("b")})
		stop := fleet.start(store)
		settle()
		stop()
		key, request := stored(t, store).RequestKey, fleet.only().Name

		for range 3 {
			stop = fleet.start(store)
			settle()
			if got := stored(t, store); string(got.RequestKey) != string(key) || fleet.only().Name != request {
				t.Fatal("a restarted agent goes on with the key and the request it had")
			}
			stop()
		}
		fleet.answer(fleet.only(), certificatesv1.CertificateApproved)
		stop = fleet.start(store)
		settle()
		checkIssued(t, store, key)
		stop()
	})
}

// fragileStore fails, and ends the agent, at one of its updates, before or after
// the update took place.
type fragileStore struct {
	*MemoryStore
	left  int
	after bool
	kill  func()
}

func (s *fragileStore) Update(ctx context.Context, change func(*Credentials) error) error {
	s.left--
	if s.left == 0 {
		defer s.kill()
		if s.after {
			return s.MemoryStore.Update(ctx, change)
		}
		return errors.New("killed")
	}
	return s.MemoryStore.Update(ctx, change)
}

// TestBootstrapKilled kills the agent around each of its writes.
func TestBootstrapKilled(t *testing.T) {
	for update := 1; update <= 2; update++ {
		for _, after := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				fleet := newFakeFleet(t)
				store := NewMemoryStore(Credentials{Bootstrap: []byte("b")})
				ctx, kill := context.WithCancel(t.Context())
				done := make(chan struct{})
				go func() {
					defer close(done)
					fragile := &fragileStore{MemoryStore: store, left: update, after: after, kill: kill}
					_ = fleet.bootstrap(fragile).run(ctx)
				}()
				settle()
				fleet.answerAll(certificatesv1.CertificateApproved)
				<-done
				key := stored(t, store).RequestKey

				stop := fleet.start(store)
				settle()
				fleet.answerAll(certificatesv1.CertificateApproved)
				settle()
				if key == nil {
					key = stored(t, store).Key // killed before the first write, or after the last
				}
				checkIssued(t, store, key)
				if requests := fleet.requests(); len(requests) != 1 {
					t.Errorf("killed at update %d (after: %t): %d requests, want one", update, after, len(requests))
				}
				stop()
			})
		}
	}
}

func TestBootstrapDenied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fleet := newFakeFleet(t)
		store := NewMemoryStore(Credentials{Bootstrap: []byte("b")})
		stop := fleet.start(store)
		settle()
		key := stored(t, store).RequestKey
		fleet.answer(fleet.only(), certificatesv1.CertificateDenied)

		time.Sleep(30 * time.Second)
		if got := len(fleet.requests()); got != 1 {
			t.Errorf("a denial is not answered with another request at once: %d requests", got)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if got := len(fleet.requests()); got != 2 {
			t.Fatalf("a reason may go away, so the agent asks again: %d requests, want 2", got)
		}

		// A restart looks at the denial once more; it does not add requests.
		for range 10 {
			stop()
			stop = fleet.start(store)
			settle()
		}
		if got := len(fleet.requests()); got != 2 {
			t.Errorf("restarts add no requests: %d, want 2", got)
		}
		for range 120 {
			fleet.answerAll(certificatesv1.CertificateDenied)
			time.Sleep(time.Minute)
			synctest.Wait()
		}
		if got := len(fleet.requests()); got < 10 || got > 20 {
			t.Errorf("%d requests in two hours of denials, want one in about ten minutes in the end", got)
		}
		for fleet.answerAll(certificatesv1.CertificateApproved) == 0 {
			time.Sleep(time.Minute)
			synctest.Wait()
		}
		time.Sleep(2 * answerTimeout) // the fake loses events between a list and its watch
		synctest.Wait()
		checkIssued(t, store, key)
		stop()
	})
}

// TestBootstrapCleaned has the fleet clean up a request nobody answered.
func TestBootstrapCleaned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fleet := newFakeFleet(t)
		store := NewMemoryStore(Credentials{Bootstrap: []byte("b")})
		stop := fleet.start(store)
		settle()
		key := stored(t, store).RequestKey
		if err := fleet.client.CertificatesV1().CertificateSigningRequests().Delete(t.Context(), fleet.only().Name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		settle()
		fleet.answer(fleet.only(), certificatesv1.CertificateApproved)
		settle()
		checkIssued(t, store, key)
		stop()
	})
}

// TestBootstrapRegisteredAgain replaces the credentials of a waiting agent whose
// token has expired.
func TestBootstrapRegisteredAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fleet := newFakeFleet(t)
		refuse := true
		fleet.client.PrependReactor("*", "certificatesigningrequests", func(clienttesting.Action) (bool, runtime.Object, error) {
			return refuse, nil, apierrors.NewUnauthorized("Unauthorized")
		})
		store := NewMemoryStore(Credentials{Bootstrap: []byte("expired")})
		stop := fleet.start(store)
		time.Sleep(time.Hour)
		synctest.Wait()
		before := stored(t, store).RequestKey

		refuse = false
		err := store.Update(t.Context(), func(credentials *Credentials) error {
			*credentials = Credentials{Bootstrap: []byte("fresh")}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(lookInterval)
		settle()
		key := stored(t, store).RequestKey
		if string(key) == string(before) || len(key) == 0 {
			t.Error("another registration has another key")
		}
		fleet.answer(fleet.only(), certificatesv1.CertificateApproved)
		settle()
		checkIssued(t, store, key)
		stop()
	})
}
