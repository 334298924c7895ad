// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package rollup

import (
	"fmt"
	"strings"
)

// reasonNotApplied is the reason of a failure for which the member gave none.
const reasonNotApplied = "AppliedFailed"

// reasonSuspended is the applied reason of a work that is held back on purpose.
const reasonSuspended = "Suspended"

// maxMessage bounds what several members may say together, in bytes.
const maxMessage = 1024

// failures collects why members fail: what their own status says, or why they
// refuse the object. It returns the first reason, by name of the member, and all
// messages, each with its member; no reason when none fails.
func failures[S any](members []reported[S], own func(S) (reason, message string)) (reason, message string) {
	var messages []string
	for _, member := range members {
		why, text := own(member.status)
		if why == "" {
			why, text = refusal(member.Member)
		}
		if why == "" {
			continue
		}
		if reason == "" {
			reason = why
		}
		messages = append(messages, fmt.Sprintf("member %q: %s", member.Cluster, text))
	}
	message = strings.Join(messages, "; ")
	if len(message) > maxMessage {
		message = strings.ToValidUTF8(message[:maxMessage], "") + "..."
	}
	return reason, message
}

// refusal returns why a member did not apply the object; no reason when it did,
// when it has not answered, and when it was told to wait.
func refusal(member Member) (reason, message string) {
	if member.Applied || member.AppliedReason == reasonSuspended || member.AppliedReason == "" && member.AppliedMessage == "" {
		return "", ""
	}
	if member.AppliedReason == "" {
		return reasonNotApplied, member.AppliedMessage
	}
	return member.AppliedReason, member.AppliedMessage
}
