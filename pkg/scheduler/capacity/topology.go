// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package capacity

import (
	corev1 "k8s.io/api/core/v1"
)

// domains are domains of one topology with the same room.
type domains struct {
	count int64
	room  int64
}

// roomApart is the room for Pods with rules about each other. What those of
// the workload that run already make of it depends on where they are, which is
// not known: it is taken to be in favour of more.
func (s *state) roomApart(demand *Demand, current int64) int64 {
	var fit, selected int64
	for i := range s.classes {
		c := &s.classes[i]
		if !c.admits(demand) || !c.inTopology(demand) {
			continue
		}
		fit += c.room(demand)
		selected += c.nodes
	}
	if demand.alone {
		fit = max(min(fit, selected-current), 0)
	}
	for _, rule := range demand.topology {
		fit = min(fit, s.allowed(demand, rule, current))
	}
	return fit
}

// inTopology reports whether the nodes have the labels without which the rules
// keep Pods off.
func (c *class) inTopology(demand *Demand) bool {
	for _, rule := range demand.topology {
		if rule.Apart || rule.Key == corev1.LabelHostname {
			continue
		}
		if _, ok := c.node.Labels[rule.Key]; !ok {
			return false
		}
	}
	return true
}

// allowed is the room that one rule leaves.
func (s *state) allowed(demand *Demand, rule Rule, current int64) int64 {
	found, free := s.domainsOf(demand, rule)
	switch {
	case rule.Spread != nil:
		return rule.Spread.allowed(found, current)
	case rule.Apart:
		var open, all int64
		for _, d := range found {
			all += d.count
			open += d.count * min(d.room, 1)
		}
		return free + max(min(open, all-current), 0)
	default:
		var most int64
		for _, d := range found {
			most = max(most, d.room)
		}
		return most
	}
}

// domainsOf returns the domains of a rule with the room in each, and the room on
// nodes that are in none of them.
func (s *state) domainsOf(demand *Demand, rule Rule) (found []domains, free int64) {
	if rule.Key == corev1.LabelHostname {
		return s.nodesOf(demand, rule), 0
	}
	rooms := map[string]int64{}
	for i := range s.classes {
		c := &s.classes[i]
		if !c.counts(demand, rule) {
			continue
		}
		room := int64(0)
		if c.inTopology(demand) {
			room = c.room(demand)
		}
		if value, ok := c.node.Labels[rule.Key]; ok {
			rooms[value] += room
		} else {
			free += room
		}
	}
	for _, room := range rooms {
		found = append(found, domains{count: 1, room: room})
	}
	return found, free
}

// nodesOf returns the nodes as domains.
func (s *state) nodesOf(demand *Demand, rule Rule) (found []domains) {
	for i := range s.classes {
		c := &s.classes[i]
		if !c.counts(demand, rule) {
			continue
		}
		admits, left := c.admits(demand), c.nodes
		for _, free := range c.free {
			d := domains{count: free.count}
			if admits {
				d.room = free.each(demand)
			}
			found = append(found, d)
			left -= free.count
		}
		if left > 0 {
			found = append(found, domains{count: left})
		}
	}
	return found
}

// counts reports whether the nodes make domains for a rule: those that the Pod
// may run on, and for a spread constraint what its policies say.
func (c *class) counts(demand *Demand, rule Rule) bool {
	spread := rule.Spread
	if spread == nil {
		return c.admits(demand)
	}
	return (spread.AllNodes || c.matches(demand)) && (!spread.Tolerated || c.tolerated(demand))
}

// allowed is how many more Pods may be spread over the domains: in each as many
// as the emptiest takes, and the skew more. With too few domains the emptiest
// counts as having none.
func (s *Spread) allowed(found []domains, current int64) (sum int64) {
	if len(found) == 0 {
		return 0
	}
	var count int64
	least := found[0].room
	for _, d := range found {
		count += d.count
		least = min(least, d.room)
	}
	most := least + s.MaxSkew
	if count < s.MinDomains {
		most = max(s.MaxSkew-current/count, 0)
	}
	for _, d := range found {
		sum += d.count * min(d.room, most)
	}
	return sum
}
