// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package registration

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	certificatesv1 "k8s.io/api/certificates/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fleet.dev/fleet/pkg/apis/cluster/identity"
	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/pkg/apis/wellknown"
)

const (
	keyA = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	keyB = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

func paris(changes ...func(*clusterv1alpha1.Cluster)) *clusterv1alpha1.Cluster {
	c := &clusterv1alpha1.Cluster{
		ObjectMeta: metav1.ObjectMeta{Name: "paris", Annotations: map[string]string{wellknown.AnnotationRegistrationKey: keyA}},
		Spec:       clusterv1alpha1.ClusterSpec{SyncMode: clusterv1alpha1.Pull, ID: "1", Accepted: true},
	}
	for _, change := range changes {
		change(c)
	}
	return c
}

func push(c *clusterv1alpha1.Cluster)        { c.Spec.SyncMode = clusterv1alpha1.Push }
func notAccepted(c *clusterv1alpha1.Cluster) { c.Spec.Accepted = false }
func otherID(c *clusterv1alpha1.Cluster)     { c.Spec.ID = "2" }
func noID(c *clusterv1alpha1.Cluster)        { c.Spec.ID = "" }
func noKey(c *clusterv1alpha1.Cluster)       { c.Annotations = nil }
func withKeyB(c *clusterv1alpha1.Cluster)    { c.Annotations[wellknown.AnnotationRegistrationKey] = keyB }

func deleting(c *clusterv1alpha1.Cluster) { c.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)} }

func TestDecide(t *testing.T) {
	token := func(groups ...string) certificatesv1.CertificateSigningRequestSpec {
		return certificatesv1.CertificateSigningRequestSpec{Username: "system:bootstrap:abcdef", Groups: append(groups, wellknown.GroupAgentBootstrappers)}
	}
	self := func(id, registration string) certificatesv1.CertificateSigningRequestSpec {
		return certificatesv1.CertificateSigningRequestSpec{
			Username: "system:fleet:cluster:paris", UID: id, Groups: []string{wellknown.GroupClusters},
			Extra: map[string]certificatesv1.ExtraValue{wellknown.ExtraRegistration: {registration}},
		}
	}
	first := identity.Request{Identity: identity.Identity{Cluster: "paris", ID: "1", Registration: keyA}, Key: keyA}
	renewal := identity.Request{Identity: identity.Identity{Cluster: "paris", ID: "1", Registration: keyA}, Key: keyB}
	auto := wellknown.GroupAgentAutoAccept
	tests := map[string]struct {
		reason  string
		spec    certificatesv1.CertificateSigningRequestSpec
		request identity.Request
		known   *clusterv1alpha1.Cluster
		others  others
		want    verdict
	}{
		"Unknown":        {reason: "a new cluster waits for an administrator", spec: token(), request: first, want: verdict{action: create}},
		"UnknownAuto":    {reason: "or for nobody", spec: token(auto), request: first, want: verdict{action: create}},
		"Crowd":          {reason: "what waits is bounded", spec: token(), request: first, others: others{waiting: maxWaiting}, want: verdict{action: deny, reason: ReasonTooManyWaiting}},
		"CrowdKnown":     {reason: "those who wait already go on waiting", spec: token(), request: first, known: paris(notAccepted), others: others{waiting: maxWaiting}},
		"CrowdAuto":      {reason: "nobody has to look at it", spec: token(auto), request: first, others: others{waiting: maxWaiting}, want: verdict{action: create}},
		"IDClash":        {reason: "one cluster, one name", spec: token(auto), request: first, others: others{sameID: "rome"}, want: verdict{action: deny, reason: ReasonIDClash}},
		"Accepted":       {reason: "an administrator agreed to this key", spec: token(), request: first, known: paris(), want: verdict{action: approve, reason: ReasonApproved}},
		"NotAccepted":    {reason: "an administrator has not agreed", spec: token(), request: first, known: paris(notAccepted)},
		"CutOff":         {reason: "a token does not undo what an administrator decided", spec: token(auto), request: first, known: paris(notAccepted)},
		"OtherKey":       {reason: "whoever has a token and knows the id is not yet the cluster", spec: token(), request: first, known: paris(withKeyB)},
		"OtherKeyAuto":   {reason: "not even with a token that accepts", spec: token(auto), request: first, known: paris(withKeyB)},
		"NoKey":          {reason: "nobody agreed to a key", spec: token(auto), request: first, known: paris(noKey)},
		"NoID":           {reason: "nobody agreed to an id", spec: token(auto), request: first, known: paris(noID)},
		"OtherID":        {reason: "the name belongs to another cluster", spec: token(auto), request: first, known: paris(otherID), want: verdict{action: deny, reason: ReasonIdentityMismatch}},
		"Push":           {reason: "the fleet comes to it", spec: token(auto), request: first, known: paris(push), want: verdict{action: deny, reason: ReasonMode}},
		"Unjoining":      {reason: "a member that leaves has to confirm what it deletes", spec: token(), request: first, known: paris(deleting), want: verdict{action: approve, reason: ReasonApproved}},
		"UnjoiningOther": {reason: "it may join again when it is gone", spec: token(auto), request: first, known: paris(deleting, withKeyB)},
		"ForeignKey":     {reason: "who registers a key holds it", spec: token(auto), request: renewal, known: paris(), want: verdict{action: deny, reason: ReasonInvalidRequest}},
		"Person":         {reason: "people get certificates of their own", spec: certificatesv1.CertificateSigningRequestSpec{Username: "jane"}, request: first, known: paris(), want: verdict{action: deny, reason: ReasonRequester}},
		"PersonsGroup":   {reason: "a group alone is no token", spec: certificatesv1.CertificateSigningRequestSpec{Username: "jane", Groups: []string{wellknown.GroupAgentBootstrappers}}, request: first, want: verdict{action: deny, reason: ReasonRequester}},
		"NodesToken":     {reason: "tokens for other things are not for this", spec: certificatesv1.CertificateSigningRequestSpec{Username: "system:bootstrap:abcdef"}, request: first, want: verdict{action: deny, reason: ReasonRequester}},
		"OtherCluster":   {reason: "one member does not ask for another", spec: certificatesv1.CertificateSigningRequestSpec{Username: "system:fleet:cluster:paris-2", UID: "1"}, request: first, known: paris(), want: verdict{action: deny, reason: ReasonRequester}},
		"Renewal":        {reason: "an agent goes on by itself", spec: self("1", keyA), request: renewal, known: paris(), want: verdict{action: approve, reason: ReasonApproved}},
		"RenewalInEnd":   {reason: "a member that leaves has to confirm what it deletes", spec: self("1", keyA), request: renewal, known: paris(deleting), want: verdict{action: approve, reason: ReasonApproved}},
		"RenewalGone":    {reason: "who left has to register", spec: self("1", keyA), request: renewal, want: verdict{action: deny, reason: ReasonNotInFleet}},
		"RenewalCutOff":  {reason: "who is cut off stays so, and goes on when accepted again", spec: self("1", keyA), request: renewal, known: paris(notAccepted)},
		"RenewalOtherID": {reason: "another cluster has the name now", spec: self("1", keyA), request: renewal, known: paris(otherID), want: verdict{action: deny, reason: ReasonIdentityMismatch}},
		"RenewalOldKey":  {reason: "it was registered anew since", spec: self("1", keyA), request: renewal, known: paris(withKeyB), want: verdict{action: deny, reason: ReasonReplaced}},
		"RenewalPush":    {reason: "the fleet comes to it now", spec: self("1", keyA), request: renewal, known: paris(push), want: verdict{action: deny, reason: ReasonMode}},
		"RenewalNewID":   {reason: "an agent keeps its identity", spec: self("2", keyA), request: renewal, known: paris(), want: verdict{action: deny, reason: ReasonRequester}},
		"RenewalNewKey":  {reason: "an agent keeps its registration", spec: self("1", keyB), request: renewal, known: paris(), want: verdict{action: deny, reason: ReasonRequester}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got := decide(&tc.spec, tc.request, tc.known, tc.others)
			if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(verdict{}), cmpopts.IgnoreFields(verdict{}, "message")); diff != "" {
				t.Errorf("%s: -want +got:\n%s", tc.reason, diff)
			}
			if got.action == deny && got.message == "" {
				t.Errorf("%s: who is denied is told why", tc.reason)
			}
		})
	}
}

func TestAccepted(t *testing.T) {
	a, b := candidate{keyA, "system:bootstrap:aaaaaa"}, candidate{keyB, "system:bootstrap:bbbbbb"}
	tests := map[string]struct {
		reason  string
		cluster *clusterv1alpha1.Cluster
		waiting []candidate
		status  metav1.ConditionStatus
		why     string
		says    []string
	}{
		"Accepted":    {reason: "nothing to do", cluster: paris(), status: metav1.ConditionTrue, why: ReasonAccepted, says: []string{keyA}},
		"AtWork":      {reason: "a request that is about to be approved is no news", cluster: paris(), waiting: []candidate{a}, status: metav1.ConditionTrue, why: ReasonAccepted},
		"Prepared":    {reason: "accepted before anybody asked", cluster: paris(noKey), status: metav1.ConditionTrue, why: ReasonAccepted, says: []string{"no agent has registered"}},
		"Waits":       {reason: "says what to do", cluster: paris(notAccepted), waiting: []candidate{a}, status: metav1.ConditionFalse, why: ReasonNotAccepted, says: []string{keyA, "id 1", "fleet accept paris"}},
		"Nobody":      {reason: "says what is missing", cluster: paris(notAccepted, noKey), status: metav1.ConditionFalse, why: ReasonNotAccepted, says: []string{"no agent has registered"}},
		"Two":         {reason: "an administrator has to look", cluster: paris(notAccepted), waiting: []candidate{a, b}, status: metav1.ConditionFalse, why: ReasonNotAccepted, says: []string{keyA, keyB, "system:bootstrap:bbbbbb", "fleet accept paris"}},
		"AnotherKey":  {reason: "installed anew, or an attack", cluster: paris(), waiting: []candidate{b}, status: metav1.ConditionTrue, why: ReasonAnotherKey, says: []string{keyA, keyB, "fleet accept paris", "bootstrap token"}},
		"PreparedKey": {reason: "accepted before anybody asked, and now somebody does", cluster: paris(noKey), waiting: []candidate{b}, status: metav1.ConditionTrue, why: ReasonAnotherKey, says: []string{"no key", keyB}},
		"ManyCandidates": {
			reason: "a flood does not fill the object", cluster: paris(),
			waiting: []candidate{{"1", "x"}, {"2", "x"}, {"3", "x"}, {"4", "x"}, {"5", "x"}, {"1", "x"}},
			status:  metav1.ConditionTrue, why: ReasonAnotherKey, says: []string{"1 (by x), 2 (by x), 3 (by x) and 2 more"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got := accepted(tc.cluster, tc.waiting)
			if got.Type != "Accepted" || got.Status != tc.status || got.Reason != tc.why {
				t.Errorf("%s: want %s %s, got %v", tc.reason, tc.status, tc.why, got)
			}
			for _, part := range tc.says {
				if !strings.Contains(got.Message, part) {
					t.Errorf("%s: want a message with %q, got %q", tc.reason, part, got.Message)
				}
			}
		})
	}
}
