// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package agentauth

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/client-go/kubernetes/fake"
	clocktesting "k8s.io/utils/clock/testing"

	"fleet.dev/fleet/pkg/apis/cluster/identity"
	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/pkg/apis/wellknown"
	fleetfake "fleet.dev/fleet/pkg/generated/clientset/versioned/fake"
)

func parisCluster(changes ...func(*clusterv1alpha1.Cluster)) *clusterv1alpha1.Cluster {
	c := &clusterv1alpha1.Cluster{
		ObjectMeta: metav1.ObjectMeta{Name: "paris", Annotations: map[string]string{wellknown.AnnotationRegistrationKey: registration}},
		Spec:       clusterv1alpha1.ClusterSpec{SyncMode: clusterv1alpha1.Pull, ID: paris.ID, Accepted: true},
	}
	for _, change := range changes {
		change(c)
	}
	return c
}

// connect returns a cache of the given Clusters and the client behind it.
func connect(t *testing.T, prepare func(*Clusters), objects ...runtime.Object) (*Clusters, *fleetfake.Clientset) {
	t.Helper()
	client := fleetfake.NewClientset(objects...)
	clusters := &Clusters{}
	if err := clusters.Connect(client); err != nil {
		t.Fatal(err)
	}
	if prepare != nil {
		prepare(clusters)
	}
	go clusters.Run(t.Context())
	poll(t, "the cache is filled", clusters.HasSynced)
	return clusters, client
}

func poll(t *testing.T, reason string, met func() bool) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 5*time.Millisecond, 20*time.Second, true, func(context.Context) (bool, error) { return met(), nil })
	if err != nil {
		t.Fatalf("%s: %v", reason, err)
	}
}

func agentUser(i identity.Identity, groups ...string) user.Info {
	if groups == nil {
		groups = []string{wellknown.GroupClusters, user.AllAuthenticated}
	}
	return &user.DefaultInfo{Name: i.User(), UID: i.ID, Groups: groups, Extra: map[string][]string{wellknown.ExtraRegistration: {i.Registration}}}
}

// attributes reads "verb group/resource[/subresource] [namespace/]name".
func attributes(u user.Info, request string) authorizer.Attributes {
	parts := strings.SplitN(request+" ", " ", 3)
	resource := strings.SplitN(parts[1]+"//", "/", 4)
	record := authorizer.AttributesRecord{
		User: u, Verb: parts[0], ResourceRequest: true, APIGroup: resource[0], Resource: resource[1], Subresource: resource[2],
		Name: strings.TrimSpace(parts[2]),
	}
	if namespace, name, ok := strings.Cut(record.Name, ":"); ok {
		record.Namespace, record.Name = namespace, name
	}
	return record
}

func TestAuthorizer(t *testing.T) {
	clusters, _ := connect(t, nil, parisCluster())
	own := &certificatesv1.CertificateSigningRequest{ObjectMeta: metav1.ObjectMeta{Name: "own"}, Spec: certificatesv1.CertificateSigningRequestSpec{Username: paris.User(), UID: paris.ID}}
	earlier := &certificatesv1.CertificateSigningRequest{ObjectMeta: metav1.ObjectMeta{Name: "earlier"}, Spec: certificatesv1.CertificateSigningRequestSpec{Username: paris.User(), UID: "another"}}
	tokens := &certificatesv1.CertificateSigningRequest{ObjectMeta: metav1.ObjectMeta{Name: "tokens"}, Spec: certificatesv1.CertificateSigningRequestSpec{Username: "system:bootstrap:abcdef"}}
	a := &Authorizer{
		Clusters: clusters, Requests: fake.NewClientset(own, earlier, tokens),
		Next: authorizer.AuthorizerFunc(func(context.Context, authorizer.Attributes) (authorizer.Decision, string, error) {
			return authorizer.DecisionNoOpinion, "asked the next", nil
		}),
	}
	agent, expired := agentUser(paris), agentUser(paris, wellknown.GroupExpiredClusters)
	token := &user.DefaultInfo{Name: "system:bootstrap:abcdef", Groups: []string{"system:bootstrappers", wellknown.GroupAgentBootstrappers}}
	allow, deny, next := authorizer.DecisionAllow, authorizer.DecisionDeny, authorizer.DecisionNoOpinion
	as := func(change func(*identity.Identity)) user.Info {
		i := paris
		change(&i)
		return agentUser(i)
	}
	tests := map[string]struct {
		reason  string
		user    user.Info
		request string
		want    authorizer.Decision
	}{
		"Works":           {"what it is to apply", agent, "watch work.fleet.dev/works fleet-cluster-paris:", allow},
		"WorksOfPrefix":   {"names that begin the same are others", agent, "list work.fleet.dev/works fleet-cluster-paris-2:", deny},
		"WorksEverywhere": {"all namespaces are not its namespace", agent, "list work.fleet.dev/works", deny},
		"Customizations":  {"how custom resources are read", agent, "watch config.fleet.dev/resourceinterpretercustomizations", allow},
		"WriteCustoms":    {"which is not its to say", agent, "update config.fleet.dev/resourceinterpretercustomizations a", deny},
		"ExpiredCustoms":  {"nor to read without a certificate", expired, "list config.fleet.dev/resourceinterpretercustomizations", deny},
		"OtherGroup":      {"a resource of the same name is another", agent, "list example.com/works fleet-cluster-paris:", deny},
		"OwnRequest":      {"its certificate", agent, "get certificates.k8s.io/certificatesigningrequests own", allow},
		"WatchRequest":    {"its certificate", agent, "watch certificates.k8s.io/certificatesigningrequests own", allow},
		"Tokens":          {"another's request", agent, "get certificates.k8s.io/certificatesigningrequests tokens", deny},
		"Predecessor":     {"who had the name before is another", agent, "get certificates.k8s.io/certificatesigningrequests earlier", deny},
		"NoRequest":       {"what is not there is not its own", agent, "get certificates.k8s.io/certificatesigningrequests none", deny},
		"AllRequests":     {"lists must name one", agent, "list certificates.k8s.io/certificatesigningrequests", deny},
		"Approve":         {"nobody approves his own", agent, "update certificates.k8s.io/certificatesigningrequests/approval own", deny},
		"ExpiredRenews":   {"that is what the grace is for", expired, "create certificates.k8s.io/certificatesigningrequests", allow},
		"ExpiredFetches":  {"that is what the grace is for", expired, "get certificates.k8s.io/certificatesigningrequests own", allow},
		"ExpiredWorks":    {"and for nothing else", expired, "list work.fleet.dev/works fleet-cluster-paris:", deny},
		"ExpiredLease":    {"and for nothing else", expired, "update coordination.k8s.io/leases fleet-cluster-paris:paris", deny},
		"BothGroups":      {"the lesser right counts", agentUser(paris, wellknown.GroupClusters, wellknown.GroupExpiredClusters), "list work.fleet.dev/works fleet-cluster-paris:", deny},
		"NoGroup":         {"the name alone gives nothing, not even by a role", agentUser(paris, "dev"), "list work.fleet.dev/works fleet-cluster-paris:", deny},
		"GroupAlone":      {"the group alone gives nothing", &user.DefaultInfo{Name: "jane", Groups: []string{wellknown.GroupClusters}}, "get /configmaps default:a", deny},
		"Masters":         {"no group more helps", agentUser(paris, wellknown.GroupClusters, user.SystemPrivilegedGroup), "get /secrets default:a", deny},
		"OtherID":         {"another cluster of the same name", as(func(i *identity.Identity) { i.ID = "other" }), "list work.fleet.dev/works fleet-cluster-paris:", deny},
		"NoID":            {"a certificate without an id", as(func(i *identity.Identity) { i.ID = "" }), "list work.fleet.dev/works fleet-cluster-paris:", deny},
		"OtherKey":        {"a certificate from before it was registered anew", as(func(i *identity.Identity) { i.Registration = strings.Replace(registration, "0", "1", 1) }), "list work.fleet.dev/works fleet-cluster-paris:", deny},
		"NoKey":           {"a certificate without a registration", as(func(i *identity.Identity) { i.Registration = "" }), "list work.fleet.dev/works fleet-cluster-paris:", deny},
		"Unknown":         {"a cluster that is not in the fleet", as(func(i *identity.Identity) { i.Cluster = "rome" }), "list work.fleet.dev/works fleet-cluster-rome:", deny},
		"Token":           {"who asked may fetch", token, "get certificates.k8s.io/certificatesigningrequests tokens", allow},
		"TokenOther":      {"another's request is up to the roles", token, "get certificates.k8s.io/certificatesigningrequests own", next},
		"TokenList":       {"all requests are up to the roles", token, "list certificates.k8s.io/certificatesigningrequests", next},
		"Person":          {"people are none of its business", &user.DefaultInfo{Name: "jane"}, "get /secrets default:a", next},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, reason, err := a.Authorize(t.Context(), attributes(tc.user, tc.request))
			if err != nil {
				t.Fatal(err)
			}
			if got != tc.want {
				t.Errorf("%s: %s: want %s, got %s (%s)", tc.reason, tc.request, tc.want, got, reason)
			}
		})
	}
}

func TestNonResourcePaths(t *testing.T) {
	clusters, _ := connect(t, nil, parisCluster())
	a := &Authorizer{Clusters: clusters}
	for path, want := range map[string]authorizer.Decision{
		"/version": authorizer.DecisionAllow, "/api": authorizer.DecisionAllow, "/api/v1": authorizer.DecisionAllow,
		"/apis": authorizer.DecisionAllow, "/apis/work.fleet.dev": authorizer.DecisionAllow, "/apis/work.fleet.dev/v1alpha1": authorizer.DecisionAllow,
		"/readyz": authorizer.DecisionAllow, "/livez": authorizer.DecisionAllow,
		"/metrics": authorizer.DecisionDeny, "/logs": authorizer.DecisionDeny, "/debug/pprof/": authorizer.DecisionDeny, "/": authorizer.DecisionDeny,
		"/readyz/etcd": authorizer.DecisionDeny, "/openapi/v2": authorizer.DecisionDeny, "/apis/a/b/c": authorizer.DecisionDeny, "/apis/../metrics": authorizer.DecisionDeny,
		"/apis//": authorizer.DecisionDeny, "/configz": authorizer.DecisionDeny, "/api/v2": authorizer.DecisionDeny,
	} {
		for verb, want := range map[string]authorizer.Decision{"get": want, "post": authorizer.DecisionDeny, "delete": authorizer.DecisionDeny} {
			got, _, err := a.Authorize(t.Context(), authorizer.AttributesRecord{User: agentUser(paris), Verb: verb, Path: path})
			if err != nil || got != want {
				t.Errorf("%s %s: want %s, got %s, %v", verb, path, want, got, err)
			}
		}
	}
}

func TestTooEarly(t *testing.T) {
	clusters := &Clusters{}
	if err := clusters.Connect(fleetfake.NewClientset()); err != nil {
		t.Fatal(err)
	}
	a := &Authorizer{Clusters: clusters}
	if _, _, err := a.Authorize(t.Context(), attributes(agentUser(paris), "get work.fleet.dev/works fleet-cluster-paris:a")); err == nil {
		t.Error("an agent must not take a server that is starting for a refusal: want an error")
	}
	if err := clusters.Check(nil); err == nil {
		t.Error("a server that would refuse every agent is not ready: want an error")
	}
}

func TestRefuse(t *testing.T) {
	tests := map[string]struct {
		reason  string
		cluster *clusterv1alpha1.Cluster
		want    string
	}{
		"Trusted":     {"all is as in the certificate", parisCluster(), ""},
		"Terminating": {"an agent has to confirm what it deletes", parisCluster(func(c *clusterv1alpha1.Cluster) { now := metav1.Now(); c.DeletionTimestamp = &now }), ""},
		"Gone":        {"it was unjoined", nil, "not in the fleet"},
		"Push":        {"the fleet comes to it", parisCluster(func(c *clusterv1alpha1.Cluster) { c.Spec.SyncMode = clusterv1alpha1.Push }), "mode Pull"},
		"NotAccepted": {"an administrator has not agreed, or not any more", parisCluster(func(c *clusterv1alpha1.Cluster) { c.Spec.Accepted = false }), "fleet accept paris"},
		"OtherID":     {"another cluster took the name", parisCluster(func(c *clusterv1alpha1.Cluster) { c.Spec.ID = "other" }), "another one"},
		"OtherKey":    {"it was registered anew", parisCluster(func(c *clusterv1alpha1.Cluster) { c.Annotations = nil }), "another key"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got := refuse(tc.cluster, paris)
			if (got == "") != (tc.want == "") || !strings.Contains(got, tc.want) {
				t.Errorf("%s: want %q, got %q", tc.reason, tc.want, got)
			}
		})
	}
}

func TestSessionsEnd(t *testing.T) {
	rome := identity.Identity{Cluster: "rome", ID: "1", Registration: registration}
	romeCluster := parisCluster(func(c *clusterv1alpha1.Cluster) { c.Name, c.Spec.ID = "rome", "1" })
	var sessions *Sessions
	fakeClock := clocktesting.NewFakeClock(time.Now())
	_, client := connect(t, func(clusters *Clusters) {
		var err error
		if sessions, err = NewSessions(clusters); err != nil {
			t.Fatal(err)
		}
		sessions.clock = fakeClock
	}, parisCluster(), romeCluster)

	serve := func(u user.Info, verb string) (ended chan struct{}) {
		started, ended := make(chan struct{}), make(chan struct{})
		handler := sessions.Handler(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
			close(started)
			<-req.Context().Done()
		}), func(_ *http.Request, info *genericapirequest.RequestInfo) bool { return info.Verb == "watch" })
		ctx := genericapirequest.WithRequestInfo(genericapirequest.WithUser(t.Context(), u), &genericapirequest.RequestInfo{Verb: verb})
		go func() {
			defer close(ended)
			handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil))
		}()
		<-started
		return ended
	}
	open := func(ended chan struct{}) bool {
		select {
		case <-ended:
			return false
		default:
			return true
		}
	}
	ofParis, ofRome, short := serve(agentUser(paris), "watch"), serve(agentUser(rome), "watch"), serve(agentUser(paris), "get")
	person := serve(&user.DefaultInfo{Name: "jane"}, "watch")

	rejected := parisCluster(func(c *clusterv1alpha1.Cluster) { c.Spec.Accepted = false })
	if _, err := client.ClusterV1alpha1().Clusters().Update(t.Context(), rejected, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	poll(t, "a watch ends with the trust in who opened it", func() bool { return !open(ofParis) })
	if !open(ofRome) || !open(person) || !open(short) {
		t.Errorf("others go on: rome %t, a person %t, a short request %t", open(ofRome), open(person), open(short))
	}
	poll(t, "one that was authorized just before ends as well", func() bool { return !open(serve(agentUser(paris), "watch")) })

	if err := client.ClusterV1alpha1().Clusters().Delete(t.Context(), "rome", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	poll(t, "the end of a Cluster is noticed", func() bool { return fakeClock.HasWaiters() })
	if !open(ofRome) {
		t.Error("the watch that is to tell the agent of it goes on for a moment")
	}
	fakeClock.Step(farewell)
	poll(t, "a watch ends when the Cluster is gone", func() bool { return !open(ofRome) })
}
