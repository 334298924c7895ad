// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package syncer

import (
	"errors"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
)

// outcome is what became of one look at a work.
type outcome struct {
	// reason is one of the AppliedReasons; empty says that there is nothing to
	// report, because the look came to nothing.
	reason string
	// message says more, for people, in the member's words where it spoke.
	message string
	// applied is true when the member's object is as the work says.
	applied bool
	// deleted is true when a tombstone came true.
	deleted bool
	// object is what the member has now, nil when it has nothing of the fleet's.
	object *observed
	// drift are the fields that are not put right for now.
	drift []workv1alpha1.FieldDrift
	// unschedulable are the Pods of the object that find no node.
	unschedulable *workv1alpha1.UnschedulablePods
	// retry says when to look again though nothing happened.
	retry retry
	// after is the least time until then, when the member asked for it.
	after time.Duration
	// waiting says that nothing was tried: a try before was refused, and the next is
	// due after that time.
	waiting bool
}

// retry is how eagerly something is tried again.
type retry int

const (
	// never waits for a change of the work or of the object.
	never retry = iota
	// soon is for what may go away by itself: up to every 30 seconds.
	soon
	// later is for what somebody has to change, in places that are not watched:
	// up to every 5 minutes.
	later
)

// backoff returns the time until the given attempt, counted from 1.
func (r retry) backoff(attempt int) time.Duration {
	first, most := 200*time.Millisecond, 30*time.Second
	if r == later {
		first, most = 5*time.Second, 5*time.Minute
	}
	delay := first
	for range attempt - 1 {
		if delay *= 2; delay >= most {
			return most
		}
	}
	return delay
}

// succeeded is the outcome of a work whose object is as it should be.
func succeeded(object *observed) outcome {
	return outcome{reason: workv1alpha1.AppliedReasonSuccess, applied: true, object: object}
}

// refused is the outcome of a work that cannot be applied as it is.
func refused(reason, message string, object *observed, again retry) outcome {
	return outcome{reason: reason, message: message, object: object, retry: again}
}

// failed sorts the answers of a member's API server.
func failed(err error, object *observed) outcome {
	o := outcome{object: object, message: message(err), retry: later}
	if seconds, ok := apierrors.SuggestsClientDelay(err); ok {
		o.after = time.Duration(seconds) * time.Second
	}
	switch {
	case isTooLarge(err):
		o.reason = workv1alpha1.AppliedReasonInvalid
		o.message = "with the marks of the fleet and its managed fields it is larger than the member stores: " + o.message
	case !spoke(err):
		// Whether the member can be reached is told by the Cluster, once, and not
		// by each of its works.
		return outcome{retry: soon}
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		o.reason, o.retry = workv1alpha1.AppliedReasonFailed, soon
	case isDenied(err):
		o.reason = workv1alpha1.AppliedReasonDenied
	case apierrors.IsForbidden(err):
		o.reason = workv1alpha1.AppliedReasonForbidden
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err), apierrors.IsRequestEntityTooLargeError(err),
		apierrors.IsMethodNotSupported(err), apierrors.IsNotAcceptable(err), apierrors.IsUnsupportedMediaType(err):
		o.reason = workv1alpha1.AppliedReasonInvalid
	case apierrors.IsConflict(err), apierrors.IsAlreadyExists(err):
		o.reason, o.retry = workv1alpha1.AppliedReasonConflict, soon
	default:
		o.reason, o.retry = workv1alpha1.AppliedReasonFailed, soon
	}
	return o
}

// isDenied returns true when the member's admission does not let an object in. An
// authorizer forbids too; what it says is about a user. A webhook answers with any
// code it likes.
func isDenied(err error) bool {
	words := message(err)
	switch {
	case strings.Contains(words, " denied the request"), strings.Contains(words, " denied request: "):
		return true
	case !apierrors.IsForbidden(err):
		return false
	}
	words = strings.ToLower(words)
	return !strings.Contains(words, ": user ") || !strings.Contains(words, " cannot ") && !strings.Contains(words, " attempting ")
}

// isUntyped returns true when the member's server-side apply does not know a field that
// its schema, as far as it is known here, has: it has another schema by now.
func isUntyped(err error) bool {
	return spoke(err) && strings.Contains(err.Error(), "failed to create typed patch object")
}

// isTooLarge returns true when the member's etcd does not take an object for its
// size, which its API server tells in etcd's words or those of its client.
func isTooLarge(err error) bool {
	return spoke(err) && (strings.Contains(err.Error(), "request is too large") || strings.Contains(err.Error(), "larger than max"))
}

// spoke returns true when err is an answer of the member's API server, false
// when no answer came or it did not let the fleet in.
func spoke(err error) bool {
	var status apierrors.APIStatus
	return errors.As(err, &status) && !apierrors.IsUnauthorized(err)
}

// message returns the words of the member in err, without what was put around
// them on the way.
func message(err error) string {
	var status apierrors.APIStatus
	if errors.As(err, &status) && status.Status().Message != "" {
		return withoutMiddle(status.Status().Message)
	}
	return withoutMiddle(err.Error())
}

const (
	// longMessage is how long a message may be, in bytes, headOfMessage how much of
	// the beginning of a longer one is kept, beside its end. API servers print the
	// values they refuse, and say only then why.
	longMessage   = 900
	headOfMessage = 300
)

// withoutMiddle shortens a long message.
func withoutMiddle(message string) string {
	if len(message) <= longMessage {
		return message
	}
	const gap = " ... "
	tail := message[len(message)-(longMessage-headOfMessage-len(gap)):]
	return strings.ToValidUTF8(message[:headOfMessage], "") + gap + strings.ToValidUTF8(tail, "")
}
