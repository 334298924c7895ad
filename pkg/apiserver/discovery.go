// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"encoding/json"
	"net/http"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/endpoints/discovery/aggregated"
	"k8s.io/apiserver/pkg/endpoints/handlers/negotiation"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/util/responsewriter"
	aggregatorscheme "k8s.io/kube-aggregator/pkg/apiserver/scheme"
)

// groupsPath is where groups are listed.
const groupsPath = "/apis"

// groupList is what clients get under groupsPath that do not ask for aggregated discovery.
// Upstream's aggregator lists the groups of APIServices there. Metrics have none, since a
// chart may bring its own; they are listed after it.
type groupList struct {
	aggregator http.Handler
	more       func() []metav1.APIGroup
}

// install has an aggregator list more groups.
func (l *groupList) install(aggregator *genericapiserver.GenericAPIServer) {
	mux := aggregator.Handler.NonGoRestfulMux
	l.aggregator = mux
	mux.Unregister(groupsPath)
	mux.Handle(groupsPath, aggregated.WrapAggregatedDiscoveryToHandler(l, aggregator.AggregatedDiscoveryGroupManager, aggregator.PeerAggregatedDiscoveryManager))
}

// ServeHTTP implements http.Handler.
func (l *groupList) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	asked := req.Clone(req.Context())
	asked.URL.Path = groupsPath + "/" // where the aggregator's list is as well
	asked.Header.Set("Accept", runtime.ContentTypeJSON)
	asked.Header.Del("Accept-Encoding") // it is read here
	answer := responsewriter.NewInMemoryResponseWriter()
	l.aggregator.ServeHTTP(answer, asked)
	list := &metav1.APIGroupList{}
	if answer.RespCode() != http.StatusOK || json.Unmarshal(answer.Data(), list) != nil {
		w.WriteHeader(answer.RespCode())
		_, _ = w.Write(answer.Data()) // fails when the client is gone
		return
	}
	for _, group := range l.more() {
		if !slices.ContainsFunc(list.Groups, func(g metav1.APIGroup) bool { return g.Name == group.Name }) {
			list.Groups = append(list.Groups, group)
		}
	}
	responsewriters.WriteObjectNegotiated(aggregatorscheme.Codecs, negotiation.DefaultEndpointRestrictions, schema.GroupVersion{}, w, req, http.StatusOK, list, false)
}
