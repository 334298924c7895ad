// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package source watches every kind of object that can be a template.
//
// What there is to watch is discovered, and discovered again whenever a
// CustomResourceDefinition or an APIService changes. Of most kinds only metadata
// is fetched; of the few whose spec matters, and of custom ones that a customization
// reads, the whole object is, and reduced to a template.Template before it is kept. One
// informer per kind is all there is: no goroutine, index or copy per object. A kind that
// is read by other rules from now on gets another one, so that its templates, and no
// others, are told again.
//
// Kinds of other API servers than the fleet's own may be slow or down. The
// package waits for native kinds at start and for no other; templates of those
// appear when they can be listed. Until a kind has been listed once nothing is
// concluded from an object's absence, see Source.Listed.
//
// Locking: one lock guards the set of kinds and is held for map operations only.
// Handlers are called from the informers' goroutines, one at a time per kind.
package source
