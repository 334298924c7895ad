// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package member

import (
	"context"
	"crypto/sha512"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"sync"

	"golang.org/x/sync/singleflight"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/klog/v2"
	"k8s.io/kube-openapi/pkg/handler3"
)

// documents are the OpenAPI documents of one member, one per API version, as far
// as they were needed.
type documents struct {
	// fetches joins workers that need the same document.
	fetches singleflight.Group

	mu sync.Mutex
	// index has the URL of each document, nil until it was needed. A URL carries
	// the hash of the document: another URL, another document.
	index map[schema.GroupVersion]string
	// loaded are the documents fetched, by the URLs in index.
	loaded map[schema.GroupVersion]*Schema
}

// get returns the schema of a version: nil when the member publishes none. It
// returns false when it has to be fetched first.
func (d *documents) get(gv schema.GroupVersion) (*Schema, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s, ok := d.loaded[gv]; ok {
		return s, true
	}
	_, published := d.index[gv]
	return nil, d.index != nil && !published
}

// url returns where the document of a version is, false when the index has to be
// fetched first or does not list it.
func (d *documents) url(gv schema.GroupVersion) (string, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	location, ok := d.index[gv]
	return location, ok
}

// put keeps a document, unless the index has another one by now.
func (d *documents) put(gv schema.GroupVersion, location string, s *Schema) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.index[gv] != location {
		return
	}
	if d.loaded == nil {
		d.loaded = map[schema.GroupVersion]*Schema{}
	}
	d.loaded[gv] = s
}

// setIndex drops the documents that are out of date, and returns true when there
// were any.
func (d *documents) setIndex(index map[schema.GroupVersion]string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	dropped := false
	for gv := range d.loaded {
		if d.index[gv] != index[gv] {
			delete(d.loaded, gv)
			dropped = true
		}
	}
	d.index = index
	return dropped
}

// needed returns whether anybody asked for a document yet.
func (d *documents) needed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.index != nil
}

// Schema implements Connection.
func (m *Member) Schema(ctx context.Context, kind schema.GroupVersionKind) (*Schema, error) {
	gv := kind.GroupVersion()
	if s, ok := m.documents.get(gv); ok {
		return s.orDeduced(kind), nil
	}
	fetched, err, _ := m.documents.fetches.Do(gv.String(), func() (any, error) {
		return m.fetchSchema(ctx, gv)
	})
	if err != nil {
		return nil, fmt.Errorf("get the schema of %s from member %q: %w", gv, m.name, err)
	}
	return fetched.(*Schema).orDeduced(kind), nil
}

// orDeduced returns s when it describes kind.
func (s *Schema) orDeduced(kind schema.GroupVersionKind) *Schema {
	if s == nil || !s.has(kind) {
		return deduced
	}
	return s
}

// fetchSchema gets the schema of one API version, nil when none is published.
func (m *Member) fetchSchema(ctx context.Context, gv schema.GroupVersion) (*Schema, error) {
	if !m.documents.needed() {
		if _, err := m.fetchIndex(ctx); err != nil {
			return nil, err
		}
	}
	location, ok := m.documents.url(gv)
	if !ok {
		return nil, nil
	}
	hash := claimedHash(location)
	s, err := m.catalog.schema(ctx, hash, func(ctx context.Context) (*Schema, bool, error) {
		body, err := m.discovery.RESTClient().Get().RequestURI(location).SetHeader("Accept", runtime.ContentTypeJSON).Do(ctx).Raw()
		if err != nil {
			return nil, false, err
		}
		s, err := ParseSchema(body)
		if err != nil {
			klog.FromContext(ctx).Error(err, "Schema of member is not readable; its lists are taken for single values", "cluster", m.name, "groupVersion", gv)
			return deduced, false, nil
		}
		return s, hash == fmt.Sprintf("%X", sha512.Sum512(body)), nil
	})
	if err != nil {
		return nil, err
	}
	m.documents.put(gv, location, s)
	return s, nil
}

// refreshDocuments looks whether documents in use were replaced.
func (m *Member) refreshDocuments(ctx context.Context) (bool, error) {
	if !m.documents.needed() {
		return false, nil
	}
	return m.fetchIndex(ctx)
}

// fetchIndex reads which documents the member publishes. It returns true when
// documents in use were replaced.
func (m *Member) fetchIndex(ctx context.Context) (bool, error) {
	body, err := m.discovery.RESTClient().Get().AbsPath("/openapi/v3").Do(ctx).Raw()
	if err != nil {
		return false, fmt.Errorf("list the OpenAPI documents of member %q: %w", m.name, err)
	}
	var listed handler3.OpenAPIV3Discovery
	if err := json.Unmarshal(body, &listed); err != nil {
		return false, fmt.Errorf("decode the list of OpenAPI documents of member %q: %w", m.name, err)
	}
	index := map[schema.GroupVersion]string{}
	for path, item := range listed.Paths {
		if gv, ok := versionOfPath(path); ok {
			index[gv] = item.ServerRelativeURL
		}
	}
	return m.documents.setIndex(index), nil
}

// versionOfPath reads paths like api/v1 and apis/apps/v1; others are no version.
func versionOfPath(path string) (schema.GroupVersion, bool) {
	parts := strings.Split(path, "/")
	switch {
	case len(parts) == 2 && parts[0] == "api":
		return schema.GroupVersion{Version: parts[1]}, true
	case len(parts) == 3 && parts[0] == "apis":
		return schema.GroupVersion{Group: parts[1], Version: parts[2]}, true
	}
	return schema.GroupVersion{}, false
}

// claimedHash is the hash in the URL of a document. Documents without one have
// their URL for a hash, which no content matches.
func claimedHash(location string) string {
	parsed, err := url.Parse(location)
	if err != nil || parsed.Query().Get("hash") == "" {
		return location
	}
	return parsed.Query().Get("hash")
}
