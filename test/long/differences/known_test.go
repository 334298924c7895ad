// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package differences

import (
	"fmt"
	"regexp"
	"strings"
)

// difference is one between the fleet and a cluster that is no defect.
type difference struct {
	// title and reason are sentences of the document.
	title, reason string
	// rewrite makes what it explains the same on both sides.
	rewrite func(line string, side int, text string) string
}

// known are the differences, in the order they are rewritten in.
var known = []difference{
	{
		title:   "The version is `<version>+fleet`",
		reason:  "The fleet is served by the same code as a cluster of that version, and says what it is as build metadata, which clients that compare versions ignore.",
		rewrite: onFleet(`(Server Version: v[0-9.]+)\+fleet`, "$1"),
	},
	{
		title:   "Nodes and volumes are called `<name>.<member>`",
		reason:  "Those of two members may have the same name, and which member a node or volume is in matters.",
		rewrite: onFleet(`(<node>|pvc-<uid>)\.member\d`, "$1"),
	},
	{
		title: "Pods, Nodes and ReplicaSets carry what the fleet knows them by",
		reason: "Label `fleet.dev/cluster` says which member runs a Pod or has a Node, `fleet.dev/template` and `fleet.dev/revision` say of which Pod template it is. " +
			"A Node's address of type `fleet.dev/Member` is where the fleet's API server reaches its Pods: other addresses of members may be the same.",
		rewrite: all(
			onFleet(`(?m)^ *- address: <node>\n *type: fleet\.dev/Member\n`, ""),
			onFleet(`(?m)^ *"?fleet\.dev/(cluster|template|revision)"?[:=].*\n|,fleet\.dev/\w+=\w+|fleet\.dev/\w+=\w+,`, ""),
		),
	},
	{
		title:   "Events begin with the name of the member, and each member tells its own",
		reason:  "A Deployment is scaled in each member for itself. Without a name one could not tell which says so.",
		rewrite: events,
	},
	{
		title:  "The fleet's own kinds, namespaces and roles are there, and `metrics.k8s.io`",
		reason: "What the fleet is managed with is served beside what it manages. Metrics are asked of the members, without anybody installing something in the fleet.",
		rewrite: all(
			onFleet(`(?m)^.*(fleet\.dev|fleet-cluster-|fleet-system|system:fleet:|fleet-admin|fleet-agents|fleet-components|kube-public cluster-info).*\n`, ""),
			onFleet(`(?m)^( *(nodes|pods)\.metrics\.k8s\.io |/apis/metrics\.k8s\.io/).*\n`, ""),
		),
	},
	{
		title:  "A Service has EndpointSlices and the load balancer of each member",
		reason: "They are shown as members make them, and traffic may come in by any. Endpoints, which are one object, list the addresses of all.",
		rewrite: all(
			endpointSlices,
			onFleet(`(LoadBalancer(?: Ingress:)?(?: <ip>)+?(?: \(VIP\))?)(?:, ?<ip>(?: \(VIP\))?)+`, "$1"),
			onFleet(`\.member1\.example\.org(,\S+\.example\.org)+`, ".plain.example.org"),
		),
	},
	{
		title:   "A dry run on the server tells where the object would go",
		reason:  "As a warning, which clients show and otherwise ignore.",
		rewrite: onFleet(`(?m)^! Warning: placement: .*\n`, ""),
	},
	{
		title: "StorageClasses of members and Leases of their Nodes are not shown",
		reason: "What a member's administrator set up is the member's, and workloads find it where they run. Leases change every few seconds, and only the member's " +
			"controllers need them. There is no namespace `kube-node-lease`.",
		rewrite: all(
			on(plain, `(?m)^NAME PROVISIONER .*\nstorageclass.*\n\n`, ""),
			on(plain, `(?m)^kube-node-lease .*\n`, ""),
			onBoth(`(?m)^Lease:.*\n(  (HolderIdentity|AcquireTime|RenewTime):.*\n)*`, ""),
		),
	},
	{
		title: "What no workload needs is in no member",
		reason: "A PersistentVolumeClaim goes where the first Pod that uses it runs, and is bound there, as one of a StorageClass that waits for the first consumer: " +
			"bound earlier it would say where that Pod has to run. Annotation `fleet.dev/placement: single` binds it at once.",
		rewrite: onBoth(`(persistentvolumeclaim/claim) (Pending|Bound pvc-<uid> 1Gi RWO kwok-volume)`, "$1"),
	},
	{
		title:  "Members roll out at the same time, each by the strategy",
		reason: "With `maxSurge: 25%` a member of one replica makes one more, like any cluster, so several members together make more than one cluster would.",
		rewrite: all(
			onBoth(`Waiting for deployment "web" rollout to finish: .*`, ""),
			onBoth(`(?m)^(web 3/3) \d (3 <age>)$`, "$1 n $2"),
		),
	},
	{
		title:  "Pods that an orphaning deletion leaves behind are controlled in their member",
		reason: "There they still have their ReplicaSet, and the fleet no longer touches what it was told to orphan. Deleting the fleet's ReplicaSet does not delete them.",
		rewrite: func(line string, _ int, text string) string {
			if line == orphans {
				return ""
			}
			return text
		},
	},
}

// slice is a line about an EndpointSlice.
var slice = regexp.MustCompile(`^(endpointslice\.discovery\.k8s\.io/)?\S+-<id> IPv4 \S+ (<ip>[,\d+ more.]*)+ <age>\n$`)

// endpointSlices leaves one line of those about EndpointSlices of the same Service.
func endpointSlices(_ string, _ int, text string) string {
	seen := map[string]bool{}
	var kept []string
	for line := range strings.Lines(text) {
		name, _, _ := strings.Cut(line, " ")
		if slice.MatchString(line) {
			if line = name + "\n"; seen[name] {
				continue
			}
			seen[name] = true
		}
		kept = append(kept, line)
	}
	return strings.Join(kept, "")
}

// event is a line about an event in describe, eventMember and eventScale what differs in it.
var (
	event       = regexp.MustCompile(`^ *(<age> )?(Normal|Warning) `)
	eventMember = regexp.MustCompile(`\bmember\d: `)
	eventScale  = regexp.MustCompile(`(replica set \S+ from )\d+ to \d+`)
)

// events leaves one line of those about the same.
func events(_ string, _ int, text string) string {
	seen := map[string]bool{}
	var kept []string
	for line := range strings.Lines(text) {
		if !event.MatchString(line) {
			kept = append(kept, line)
			continue
		}
		line = eventScale.ReplaceAllString(eventMember.ReplaceAllString(line, ""), "${1}a to b")
		if !seen[line] {
			kept = append(kept, line)
		}
		seen[line] = true
	}
	return strings.Join(kept, "")
}

// onFleet rewrites what the fleet prints.
func onFleet(pattern, with string) func(string, int, string) string { return on(fleet, pattern, with) }

func on(only int, pattern, with string) func(string, int, string) string {
	everywhere := onBoth(pattern, with)
	return func(line string, side int, text string) string {
		if side != only {
			return text
		}
		return everywhere(line, side, text)
	}
}

// onBoth rewrites what both print.
func onBoth(pattern, with string) func(string, int, string) string {
	compiled := regexp.MustCompile(pattern)
	return func(_ string, _ int, text string) string { return compiled.ReplaceAllString(text, with) }
}

// all rewrites in several ways.
func all(rewrites ...func(string, int, string) string) func(string, int, string) string {
	return func(line string, side int, text string) string {
		for _, rewrite := range rewrites {
			text = rewrite(line, side, text)
		}
		return text
	}
}

// explain returns what both sides print without what is known to differ, and, if that is
// the same, the titles of the differences it would not be without.
func explain(step step, out pair) (pair, []string) {
	for i := range out {
		out[i] = blot(out[i])
	}
	explained := rewritten(step, out, "")
	if explained[fleet] != explained[plain] {
		return explained, nil
	}
	var by []string
	for _, k := range known {
		if without := rewritten(step, out, k.title); without[fleet] != without[plain] {
			by = append(by, k.title)
		}
	}
	return explained, by
}

// rewritten applies all known differences but one.
func rewritten(step step, out pair, but string) pair {
	for i := range out {
		for _, k := range known {
			if k.title != but {
				out[i] = k.rewrite(step.line, i, out[i])
			}
		}
		if step.anyOrder {
			out[i] = sorted(out[i])
		}
	}
	return out
}

// document is docs/differences.md.
func document(commands int, seen map[string][]string) string {
	var out strings.Builder
	fmt.Fprintf(&out, head, commands, len(known))
	for i, k := range known {
		fmt.Fprintf(&out, "\n## %d. %s\n\n%s\nFor example: `%s`.\n", i+1, k.title, k.reason, first(seen[k.title]))
	}
	return out.String()
}

func first(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	return strings.ReplaceAll(lines[0], "\n", " ")
}

const head = `# Differences

What a user of kubectl sees on a fleet that is not what a cluster shows. ` + "`test/long/differences`" + ` writes this file: it runs %d commands on a
fleet of three members, in Push and Pull mode, and on one plain cluster with as many nodes, and compares what is printed, once names of nodes,
hashes, addresses, ages and uids are blotted out. There are %d differences, and no other.
`
