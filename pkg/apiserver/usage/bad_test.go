// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package usage

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/warning"
	metricsv1beta1 "k8s.io/metrics/pkg/apis/metrics/v1beta1"
)

// askRelay has a relay answer a request, and returns the warnings too.
func askRelay(t *testing.T, served *relay, path string) (*httptest.ResponseRecorder, said) {
	t.Helper()
	warnings := said(nil)
	ctx := warning.WithWarningRecorder(t.Context(), &warnings)
	req := httptest.NewRequestWithContext(ctx, http.MethodGet, "/apis/"+path, http.NoBody)
	infos := &request.RequestInfoFactory{APIPrefixes: sets.NewString("api", "apis"), GrouplessAPIPrefixes: sets.NewString("api")}
	info, err := infos.NewRequestInfo(req)
	if err != nil {
		t.Fatal(err)
	}
	recorder := httptest.NewRecorder()
	served.ServeHTTP(recorder, req.WithContext(request.WithRequestInfo(ctx, info)))
	return recorder, warnings
}

func valuesOf(items string) string {
	return `{"kind":"MetricValueList","apiVersion":"custom.metrics.k8s.io/v1beta2","metadata":{},"items":[` + items + `]}`
}

func TestBadValues(t *testing.T) {
	const path = "custom.metrics.k8s.io/v1beta2/namespaces/default/pods/*/hits"
	good := `{"describedObject":{"kind":"Pod","namespace":"default","name":"web-1"},"metric":{"name":"hits"},"value":"1"}`
	with := func(value string) string { return strings.Replace(good, `"1"`, value, 1) }
	for name, tc := range map[string]struct {
		reason string
		bad    string
		want   string
	}{
		"Null":        {reason: "An item that is none is no panic.", bad: `null`, want: "it has a value that is none"},
		"AboutNull":   {reason: "A value about nothing is nobody's.", bad: `{"value":"1"}`, want: "it has a value that does not say what it is about"},
		"NoNumber":    {reason: "A value is a number.", bad: with(`"many"`), want: "it has a value that is no number: quantities must match the regular expression"},
		"NoValue":     {reason: "A value is there.", bad: with(`null`), want: "it has a value that is no number"},
		"HugeByText":  {reason: "A number that takes minutes is not computed.", bad: with(`"1e1000000000"`), want: "a number with an exponent beyond 18"},
		"HugeByPower": {reason: "Nor is one that is small.", bad: with(`"1e-1000000000"`), want: "a number with an exponent beyond 18"},
		"Long":        {reason: "Nor is one with a million digits.", bad: with(`"` + strings.Repeat("1", 1<<20) + `"`), want: "a number with more than 48 digits"},
		"Large":       {reason: "An answer without end is not read.", bad: with(`"` + strings.Repeat(" ", maxValues) + `"`), want: fmt.Sprintf("its answer has more than %d bytes", maxValues)},
	} {
		t.Run(name, func(t *testing.T) {
			served := &relay{group: customGroup, pods: fakePods{"a/default/web-1": "web-1", "b/default/web-1": "web-1.b"}, templates: haveWeb, fanOut: &fanOut{members: &fakeMembers{
				members: []Member{{Name: "a", Serves: everything()}, {Name: "b", Serves: everything()}},
				says:    map[string]map[string]string{"a": {path: valuesOf(good + "," + tc.bad)}, "b": {path: valuesOf(good)}},
			}}}
			recorder, warnings := askRelay(t, served, path)
			if recorder.Code != http.StatusOK || !strings.Contains(recorder.Body.String(), "web-1.b") {
				t.Errorf("\n%s\nThe other member's answer counts: got %d: %s", tc.reason, recorder.Code, recorder.Body)
			}
			if len(warnings) != 1 || !strings.Contains(warnings[0], tc.want) || len(warnings[0]) > 2*maxSaid {
				t.Errorf("\n%s\nwant a short warning with %q, got %q", tc.reason, tc.want, warnings)
			}
		})
	}
}

func TestReadMeasures(t *testing.T) {
	for name, tc := range map[string]struct {
		reason string
		body   string
		err    string
	}{
		"Usual":     {reason: "Suffixes and small exponents are usual.", body: `{"items":[{"usage":{"cpu":"5E","memory":"1Ei"},"containers":[{"usage":{"cpu":"12e6","memory":"3"}}]}]}`},
		"Pod":       {reason: "Those of containers are added up.", body: `{"items":[{"containers":[{"usage":{"cpu":"1e1000000000"}}]}]}`, err: "a number with an exponent beyond 18"},
		"Node":      {reason: "Those of Nodes are shown.", body: `{"items":[{"usage":{"cpu":"1e1000000000"}}]}`, err: "a number with an exponent beyond 18"},
		"One":       {reason: "So is that of one.", body: `{"usage":{"cpu":"12345678901234567890123e1000000000"}}`, err: "a number with an exponent beyond 18"},
		"Overflows": {reason: "No exponent is too large to be seen.", body: `{"usage":{"cpu":"1E+99999999999999999999"}}`, err: "a number with an exponent beyond 18"},
		"Null":      {reason: "An item that is none has nothing.", body: `{"items":[null]}`},
	} {
		t.Run(name, func(t *testing.T) {
			err := read(metricsv1beta1.SchemeGroupVersion, []byte(tc.body), &metricsv1beta1.PodMetricsList{})
			got := ""
			if err != nil {
				got = err.Error()
			}
			if diff := cmp.Diff(tc.err, got); diff != "" {
				t.Errorf("\n%s\nread(...): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestRefusal(t *testing.T) {
	for name, tc := range map[string]struct {
		reason string
		code   int
		body   string
		want   string
		found  bool
	}{
		"NotFound": {
			reason: "That there is none is told on, with the code of that.", code: http.StatusNotFound,
			body: `{"kind":"Status","status":"Failure","code":200,"reason":"NotFound","message":"no such metric"}`, want: "no such metric",
		},
		"OddCode": {
			reason: "A code of a member is not the fleet's.", code: http.StatusForbidden, found: true,
			body: `{"kind":"Status","status":"Failure","code":7,"reason":"NotFound","message":"not you"}`, want: "not you",
		},
		"Long":  {reason: "Few words do.", code: http.StatusBadGateway, body: strings.Repeat("ä", 1<<20), want: strings.Repeat("ä", maxSaid/2), found: true},
		"Empty": {reason: "None are replaced.", code: http.StatusBadGateway, want: "it answered with code 502", found: true},
	} {
		t.Run(name, func(t *testing.T) {
			err := refusal(tc.code, []byte(tc.body))
			if diff := cmp.Diff(tc.want, err.Error()); diff != "" {
				t.Errorf("\n%s\nrefusal(...): -want, +got:\n%s", tc.reason, diff)
			}
			if got := !apierrors.IsNotFound(err); got != tc.found {
				t.Errorf("\n%s\nrefusal(...): not found is %t", tc.reason, !got)
			}
			all := together([]silence{{member: "a", err: err}})
			status := apierrors.APIStatus(nil)
			if want := map[bool]int32{true: 503, false: 404}[tc.found]; !errors.As(all, &status) || status.Status().Code != want {
				t.Errorf("\n%s\ntogether(...): want code %d, got %v", tc.reason, want, all)
			}
		})
	}
}

func TestTogetherIsShort(t *testing.T) {
	var silent []silence
	for range 500 {
		silent = append(silent, silence{member: "m", err: errors.New(strings.Repeat("x", 1<<10))})
	}
	if words := together(silent).Error(); len(words) > 2<<10 || !strings.Contains(words, "and 495 more") {
		t.Errorf("an error of 500 members is short: got %d characters: %s", len(words), words)
	}
}

func TestAskedEnough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		members := &fakeMembers{members: []Member{{Name: "a", Serves: everything()}}, says: map[string]map[string]string{"a": {}}}
		f := &fanOut{members: members}
		errs := make(chan error, 2*maxAsking)
		for range 2 * maxAsking {
			go func() {
				_, err := ask[valueList](t.Context(), f, question{version: schema.GroupVersion{Group: externalGroup, Version: "v1beta1"}, path: everybody("x")})
				errs <- err
			}()
		}
		synctest.Wait()
		if got := len(f.room("a")); got != maxAsking {
			t.Errorf("a member answers %d requests at the same time: got %d", maxAsking, got)
		}
		for range 2 * maxAsking {
			if err := <-errs; !apierrors.IsServiceUnavailable(err) {
				t.Errorf("who waited in vain is told so: got %v", err)
			}
		}
	})
}
