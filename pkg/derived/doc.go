// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package derived serves works without storing them. A work is rendered
// (pkg/render) from a template and a binding, which are stored; nothing about
// the work itself is in etcd.
//
// # Parts
//
// Capture wraps the RESTOptionsGetters of the API server and learns, for every
// resource, under which etcd keys its objects are and how they are decoded and
// decrypted. For works it puts our storage under upstream's Cacher instead of
// etcd. Engine follows etcd and keeps the works in a ledger (package ledger); its
// storage.Interface is what the Cacher lists and watches. Selectors, bookmarks,
// WatchList, pagination by snapshot and the fan-out to syncers are the Cacher's.
//
//	etcd ──one watch, revision order──► Engine ──► ledger ──► storage ──► Cacher ──► registry
//	        templates, bindings, CRDs     render    (works,    (list,
//	                                                 history)   watch)
//
// # One watch, in global order
//
// Works depend on two objects of different resources, so a watch per resource
// would have to be put in order again. The Engine opens one etcd watch over the
// whole key prefix instead: etcd delivers it in the order of revisions, and
// after the event of revision R the state is exactly that of revision R. At
// start everything needed is read at one revision. An event costs a map lookup,
// plus, when it is about a binding or about a template that has one, rendering
// the members of that binding. Nothing is ever scanned.
//
// The engine holds for each binding its spec and the stored bytes of its
// template, not the decoded template. The bytes of templates written lately are
// kept for a while as well: a binding mostly arrives milliseconds after its
// template, and then nothing has to be read.
//
// # Resource versions
//
// The resource version of a work is <etcd revision> * 2^20 + <place>: the
// revision that changed it last, and its place among the works changed by that
// revision. Lists and bookmarks carry the highest place of a revision. It is a
// decimal integer, grows with time, needs nothing stored, survives restarts and
// means the same on every server over the same etcd: the place counts through
// the members of the bindings concerned, sorted, whether their work changed or
// not.
//
// The revision alone would not do, although one revision changes at most one
// work in a member's namespace. Upstream's Cacher takes a resource version for
// the identity of one event of the whole resource, over all namespaces: a
// watcher that starts while two events of one revision are being taken in skips
// the second (cacheWatcher.process forwards only what is newer than the last
// version of the interval it started with), a consistent list waits only for the
// first, and a bookmark sent between the two makes a client skip the second when
// it resumes. TestEqualResourceVersionsLoseEvents shows it.
//
// # When works change
//
// Work events are sent only when a work differs in more than its resource
// version; a write to the status of a template or of a binding sends none. A
// change of the binding's generation is a change of every work of it.
//
//   - Template missing, or another object than the binding decided upon (uid):
//     no work, apart from tombstones. Syncers delete on tombstones alone.
//   - A template or binding that cannot be decrypted or decoded, or a member for
//     which rendering fails, keeps the work it had. After a restart it has none,
//     which syncers treat like the first case. Such errors are counted, logged
//     and reported through Engine.Errors and Options.OnErrors.
//   - Custom resources are rendered from what is stored, in the stored version,
//     or in that of the binding when their CRD converts by changing the version
//     only. Conversion webhooks are never called: the engine must not wait for
//     the network of a member.
//   - Native objects are rendered in the version of the binding, or the one it names for
//     a member that does not serve that.
//
// # Failure
//
// A lost connection to etcd is resumed after the last revision taken in. If that
// was compacted, or if etcd was restored, the engine reads everything again;
// watches are then told 410 Expired, as are those that ask for more history than
// is kept, and the Cacher and its clients list anew. Reads wait for the first load.
//
// That etcd was restored under a running server is not told by its watch, which
// would wait silently for the old revision to be reached again. The engine looks
// for it every 10 s, before it resumes a watch that ended, and when a read or a
// progress notification finds etcd at an older revision. Signs are another
// cluster id, an older revision, and that the last write taken in is not in the
// history, which shows also when etcd has meanwhile got further than before; what
// was compacted since cannot be compared. Until it is noticed and all is read
// again, consistent reads are refused with 429 while etcd is behind, others serve
// what was. Watches that clients resume from a revision etcd does not have are
// told 410 as well.
//
// # Concurrency
//
// One goroutine, in Engine.Run, owns the state of bindings and templates and is
// the only writer of the ledger. The ledger is what others read, under its lock;
// nothing is rendered, decoded or sent while it is held. Works in the ledger are
// immutable and shared with the Cacher, members of a binding share the bytes of
// equal manifests.
package derived
