// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package usage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/warning"
	"k8s.io/metrics/pkg/apis/metrics"
	"k8s.io/utils/clock"

	"fleet.dev/fleet/pkg/apis/wellknown"
)

const (
	// patience bounds how long a request waits for a member.
	patience = 2 * time.Second
	// leftOut is how long one that let a request wait so long is not asked again.
	leftOut = 30 * time.Second
	// maxAnswer bounds what is read of a member's answer, maxValues of one whose shape is
	// not known and which takes more room.
	maxAnswer, maxValues = 32 << 20, 8 << 20
	// maxAsking bounds how many requests one member answers at the same time.
	maxAsking = 16
	// maxSaid bounds, in bytes, what is told of a member's words; maxNamed how many
	// members an error names.
	maxSaid, maxNamed = 256, 5
)

// Member is a member as far as metrics go.
type Member struct {
	Name string
	// Unready says why it is not asked, empty when it is.
	Unready string
	// Serves are the group versions of metrics it serves.
	Serves []schema.GroupVersion
}

// Way is how requests get to the API server of a member.
type Way struct {
	URL       *url.URL
	Transport http.RoundTripper
}

// Members reaches members.
type Members interface {
	// MetricsMembers returns the members, sorted by name, and a channel that is closed
	// when the answer changed.
	MetricsMembers() ([]Member, <-chan struct{})
	// MetricsWay returns the way to a member, good for one request.
	MetricsWay(ctx context.Context, member string) (Way, error)
}

// Pods knows how the fleet shows the Pods of members.
type Pods interface {
	// Need has them be known, and waits a little for members that were not read yet.
	Need(ctx context.Context)
	// Shown returns what the fleet shows of a Pod of a member; bare says that the member
	// has it from the fleet itself, in which it is stored.
	Shown(member string, pod types.NamespacedName, bare bool) (metav1.Object, bool)
	// Find returns the member of a Pod that the fleet shows, and its name there.
	Find(namespace, name string) (member, inMember string, ok bool)
}

// fanOut puts one question to several members.
type fanOut struct {
	members Members

	mu     sync.Mutex
	asking map[string]chan struct{} // guarded by mu; full when a member is asked enough
	late   map[suspect]time.Time    // guarded by mu; when they did not answer
}

// suspect is a version that a member may be unable to serve.
type suspect struct {
	member  string
	version schema.GroupVersion
}

// blame has a member not be asked for a while, since it did not answer in time.
func (f *fanOut) blame(of suspect) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.late == nil {
		f.late = map[suspect]time.Time{}
	}
	f.late[of] = clock.RealClock{}.Now()
}

// isLate says whether a member is not asked for a while.
func (f *fanOut) isLate(of suspect) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	since, ok := f.late[of]
	if ok && (clock.RealClock{}).Since(since) >= leftOut {
		delete(f.late, of)
		return false
	}
	return ok
}

// room is where requests to a member wait while it answers others.
func (f *fanOut) room(member string) chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.asking == nil {
		f.asking = map[string]chan struct{}{}
	}
	if f.asking[member] == nil {
		f.asking[member] = make(chan struct{}, maxAsking)
	}
	return f.asking[member]
}

// question is what members are asked.
type question struct {
	version schema.GroupVersion
	// selector says by its requirements on the label with the member which are asked.
	selector labels.Selector
	// path returns the path of the request to a member below that of the version, false
	// when there is nothing to ask it.
	path  func(member string) (string, bool)
	query url.Values
	// sum says that answers are added up, so that without one of a member that should
	// have answered they say too little.
	sum bool
}

// answer is what a member said.
type answer[T any] struct {
	member string
	body   T
}

// everybody is asked for the same.
func everybody(path string) func(string) (string, bool) {
	return func(string) (string, bool) { return path, true }
}

// ask asks all members concerned at once and returns their answers, by name. Who gives
// none is named in a Warning. It is an error when nobody answers.
func ask[T any](ctx context.Context, f *fanOut, q question) ([]answer[T], error) {
	asked, silent := f.concerned(q)
	if len(asked) == 0 && len(silent) == 0 {
		return nil, errNotServed
	}
	given, failed := askAll[T](ctx, f, q, asked)
	silent = append(silent, failed...)
	if missed := missing(silent); q.sum && len(missed) > 0 {
		return nil, together(missed)
	}
	if len(given) == 0 && len(silent) > 0 {
		return nil, together(silent)
	}
	for _, s := range silent {
		warning.AddWarning(ctx, "", fmt.Sprintf("metrics of member %q are not shown: %s", s.member, short(s.err.Error())))
	}
	return given, nil
}

// askAll asks members at once, and leaves those out for a while that do not answer.
func askAll[T any](ctx context.Context, f *fanOut, q question, asked []string) (given []answer[T], failed []silence) {
	bodies, failures := make([]T, len(asked)), make([]error, len(asked))
	patient, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var running sync.WaitGroup
	for i, member := range asked {
		running.Go(func() { failures[i] = f.askOne(patient, member, q, &bodies[i]) })
	}
	running.Wait()
	for i, member := range asked {
		if failures[i] == nil {
			given = append(given, answer[T]{member: member, body: bodies[i]})
			continue
		}
		failed = append(failed, silence{member: member, err: failures[i], asked: true})
		if errors.Is(failures[i], errLate) && ctx.Err() == nil {
			f.blame(suspect{member, q.version})
		}
	}
	return given, failed
}

// missing are those of silent members that may have had something to say: not those
// without such metrics, nor those out of reach, which the fleet gives up.
func missing(silent []silence) []silence {
	return slices.DeleteFunc(slices.Clone(silent), func(s silence) bool { return !s.asked || apierrors.IsNotFound(s.err) })
}

// errNotServed is what a cluster answers that has no such metrics.
var errNotServed = apierrors.NewGenericServerResponse(http.StatusNotFound, http.MethodGet, schema.GroupResource{}, "", "", 0, true)

// silence is why a member gave no answer.
type silence struct {
	member string
	err    error
	// asked says that it was asked, now or a while ago.
	asked bool
}

// together makes one error of what all members refused. Where all say that there is no
// such thing, there is none.
func together(silent []silence) error {
	if !slices.ContainsFunc(silent, func(s silence) bool { return !apierrors.IsNotFound(s.err) }) {
		return silent[0].err
	}
	var said []string
	for _, s := range silent[:min(len(silent), maxNamed)] {
		said = append(said, fmt.Sprintf("member %q: %s", s.member, short(s.err.Error())))
	}
	if more := len(silent) - maxNamed; more > 0 {
		said = append(said, fmt.Sprintf("and %d more", more))
	}
	return apierrors.NewServiceUnavailable("metrics are not available: " + strings.Join(said, "; "))
}

// short bounds what is told of the words of a member.
func short(words string) string {
	if len(words) > maxSaid {
		words = words[:maxSaid] + "..."
	}
	return strings.ToValidUTF8(words, "")
}

// concerned returns who is asked, and those who cannot be. Members without the API are
// among the latter if others have it.
func (f *fanOut) concerned(q question) (asked []string, silent []silence) {
	members, _ := f.members.MetricsMembers()
	served := false
	var without []silence
	for _, member := range members {
		if !mayBeIn(q.selector, member.Name) {
			continue
		}
		if _, ok := q.path(member.Name); !ok {
			continue
		}
		switch {
		case !slices.Contains(member.Serves, q.version):
			without = append(without, silence{member: member.Name, err: fmt.Errorf("it does not serve %s", q.version)})
		case member.Unready != "":
			silent, served = append(silent, silence{member: member.Name, err: errors.New(member.Unready)}), true
		case f.isLate(suspect{member.Name, q.version}):
			silent, served = append(silent, silence{member: member.Name, err: errLate, asked: true}), true
		default:
			asked, served = append(asked, member.Name), true
		}
	}
	if served {
		silent = append(silent, without...)
	}
	return asked, silent
}

// mayBeIn says whether a selector may select what is in a member.
func mayBeIn(selector labels.Selector, member string) bool {
	if selector == nil {
		return true
	}
	requirements, selectable := selector.Requirements()
	for i := range requirements {
		if requirements[i].Key() == wellknown.LabelCluster && !requirements[i].Matches(labels.Set{wellknown.LabelCluster: member}) {
			return false
		}
	}
	return selectable
}

// inMember returns the part of a selector that members understand: which member, and
// the hash of a Pod template, are the fleet's to say.
func inMember(selector labels.Selector) labels.Selector {
	if selector == nil {
		return labels.Everything()
	}
	requirements, selectable := selector.Requirements()
	if !selectable {
		return labels.Nothing()
	}
	kept := labels.NewSelector()
	for i := range requirements {
		if key := requirements[i].Key(); key != wellknown.LabelCluster && key != podTemplateHash {
			kept = kept.Add(requirements[i])
		}
	}
	return kept
}

// podTemplateHash is appsv1.DefaultDeploymentUniqueLabelKey, which the fleet computes.
const podTemplateHash = "pod-template-hash"

// checked is an answer that can be refused when it was read.
type checked interface {
	check() error
}

// askOne asks a member and decodes its answer.
func (f *fanOut) askOne(ctx context.Context, member string, q question, into any) error {
	room := f.room(member)
	select {
	case room <- struct{}{}:
		defer func() { <-room }()
	case <-ctx.Done():
	}
	if ctx.Err() != nil {
		return errBusy
	}
	body, err := f.request(ctx, member, q)
	if err != nil {
		return err
	}
	if err := read(q.version, body, into); err != nil {
		return fmt.Errorf("read its answer: %w", err)
	}
	return nil
}

// read decodes what a member said, unless it has what cannot be counted with.
func read(version schema.GroupVersion, body []byte, into any) error {
	if version.Group == metrics.GroupName {
		if err := json.Unmarshal(body, &measures{}); err != nil {
			return err
		}
	}
	if err := json.Unmarshal(body, into); err != nil {
		return err
	}
	if answer, ok := into.(checked); ok {
		return answer.check()
	}
	return nil
}

// errBusy is why a member is not asked.
var errBusy = errors.New("it is asked by too many at the same time")

// request returns what a member said.
func (f *fanOut) request(ctx context.Context, member string, q question) ([]byte, error) {
	way, err := f.members.MetricsWay(ctx, member)
	if err != nil {
		return nil, unreachable(err)
	}
	path, _ := q.path(member)
	target := way.URL.JoinPath("apis", q.version.Group, q.version.Version, path)
	target.RawQuery = q.query.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), http.NoBody)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	response, err := way.Transport.RoundTrip(req)
	if err != nil {
		return nil, unreachable(err)
	}
	most := mostOf(q.version)
	body, err := io.ReadAll(io.LimitReader(response.Body, most+1))
	if err = errors.Join(err, response.Body.Close()); err != nil {
		return nil, unreachable(err)
	}
	if response.StatusCode != http.StatusOK {
		return nil, refusal(response.StatusCode, body)
	}
	if int64(len(body)) > most {
		return nil, fmt.Errorf("its answer has more than %d bytes", most)
	}
	return body, nil
}

// mostOf bounds the answers of a version.
func mostOf(version schema.GroupVersion) int64 {
	if version.Group == metrics.GroupName {
		return maxAnswer
	}
	return maxValues
}

// unreachable says why there is no answer.
func unreachable(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return errLate
	}
	return err
}

// errLate is why a member has no answer that may have one later.
var errLate = fmt.Errorf("it did not answer within %s", patience)

// refusal is the error of an answer that is not one. Its words are the member's; its
// code, which clients are told, is not.
func refusal(code int, body []byte) error {
	status := metav1.Status{}
	words := strings.TrimSpace(string(body[:min(len(body), maxSaid)]))
	if json.Unmarshal(body, &status) == nil && status.Status == metav1.StatusFailure {
		words = short(status.Message)
	}
	if code == http.StatusNotFound {
		return &apierrors.StatusError{ErrStatus: metav1.Status{
			Status: metav1.StatusFailure, Code: http.StatusNotFound, Reason: metav1.StatusReasonNotFound, Message: words,
		}}
	}
	if words == "" {
		words = fmt.Sprintf("it answered with code %d", code)
	}
	return errors.New(words)
}
