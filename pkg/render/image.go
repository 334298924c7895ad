// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package render

import "strings"

// image is a container image reference in parts: registry/repository:tag or
// registry/repository@digest. Only repository is never empty.
type image struct {
	registry   string
	repository string
	separator  string // ":" before a tag, "@" before a digest, "" before nothing
	version    string
}

// parseImage splits a reference. The first part is a registry when it looks
// like a host, the rule of github.com/distribution/reference: it holds a dot or
// a colon, or is localhost. A tag beside a digest stays with the repository.
func parseImage(reference string) image {
	var parsed image
	rest := reference
	if host, after, ok := strings.Cut(rest, "/"); ok && (strings.ContainsAny(host, ".:") || host == "localhost") {
		parsed.registry, rest = host, after
	}
	if name, digest, ok := strings.Cut(rest, "@"); ok {
		parsed.repository, parsed.separator, parsed.version = name, "@", digest
		return parsed
	}
	if colon := strings.LastIndex(rest, ":"); colon > strings.LastIndex(rest, "/") {
		parsed.repository, parsed.separator, parsed.version = rest[:colon], ":", rest[colon+1:]
		return parsed
	}
	parsed.repository = rest
	return parsed
}

// String is the reverse of parseImage.
func (i image) String() string {
	reference := i.repository + i.separator + i.version
	if i.registry != "" {
		reference = i.registry + "/" + reference
	}
	return reference
}

// setVersion replaces tag or digest; which of the two it is shows in the value:
// a digest holds a colon, a tag cannot.
func (i *image) setVersion(version string) {
	i.version = version
	switch {
	case version == "":
		i.separator = ""
	case strings.Contains(version, ":"):
		i.separator = "@"
	default:
		i.separator = ":"
	}
}
