// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package usage

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/endpoints/request"

	"fleet.dev/fleet/pkg/projection"
)

// described is what a value is about.
type described struct {
	Kind, Group, Namespace, Name string
}

// shower says how the fleet shows what values are about.
type shower struct {
	pods      Pods
	templates projection.Templates
	selector  labels.Selector
	// of is what was asked for. Its kind is empty where only members know it, its name
	// where any is meant.
	of described
}

// The kinds of objects that are not works in members.
const podKind, nodeKind, namespaceKind = "Pod", "Node", "Namespace"

// askedFor returns what a request for custom metrics is about.
func askedFor(info *request.RequestInfo) described {
	of := described{Namespace: info.Namespace, Name: info.Name}
	if of.Name == everyObject {
		of.Name = ""
	}
	switch {
	case info.Namespace != "" && (len(info.Parts) < 2 || info.Resource == "metrics" || info.Resource == "namespaces"):
		return described{Kind: namespaceKind, Name: strings.TrimPrefix(info.Namespace, everyObject)}
	case info.Resource == "pods":
		of.Kind = podKind
	case info.Resource == "nodes":
		of.Kind = nodeKind
	}
	_, of.Group, _ = strings.Cut(info.Resource, ".")
	return of
}

// check implements checked: what is to be added up, or read by others, is a number that
// can be.
func (l *valueList) check() error {
	for _, item := range l.Items {
		if item == nil {
			return errors.New("it has a value that is none")
		}
		err := countable(fmt.Sprint(item["value"]))
		if err == nil {
			_, err = quantityOf(item)
		}
		if err != nil {
			return fmt.Errorf("it has a value that is no number: %w", err)
		}
	}
	return nil
}

// customList is a list of values of custom metrics.
type customList struct{ valueList }

// check implements checked: each value is about something.
func (l *customList) check() error {
	if err := l.valueList.check(); err != nil {
		return err
	}
	for _, item := range l.Items {
		if _, ok := item["describedObject"].(map[string]any); !ok {
			return errors.New("it has a value that does not say what it is about")
		}
	}
	return nil
}

// custom makes one list of the values of all members, about the objects the fleet
// shows. Values about the same object and metric are added up.
func custom(answers []answer[customList], by *shower) ([]value, error) {
	items := []value{}
	sums := map[string]int{} // places in items
	for _, answer := range answers {
		for _, item := range answer.body.Items {
			if !by.show(answer.member, item) {
				continue
			}
			key, err := identityOf(item)
			if err != nil {
				return nil, fmt.Errorf("read a value of member %q: %w", answer.member, err)
			}
			at, known := sums[key]
			if !known {
				sums[key] = len(items)
				items = append(items, item)
				continue
			}
			if err := add(items[at], item); err != nil {
				return nil, fmt.Errorf("read a value of member %q: %w", answer.member, err)
			}
		}
	}
	return items, nil
}

// show has a value be about the object of the fleet, and returns false for one that the
// fleet does not show, or did not ask for.
func (s *shower) show(member string, item value) bool {
	about := describedBy(item)
	about.Namespace = cmp.Or(about.Namespace, s.of.Namespace)
	if s.of.Namespace != "" && about.Namespace != s.of.Namespace {
		return false
	}
	name, ok := s.shownAs(member, about)
	if !ok || s.of.Name != "" && name != s.of.Name {
		return false
	}
	if object, ok := item["describedObject"].(map[string]any); ok {
		object["name"] = name
	}
	return true
}

// shownAs returns the name in the fleet of what a member's value is about, false when it
// is not the fleet's.
func (s *shower) shownAs(member string, about described) (string, bool) {
	if about.Kind != s.of.Kind && (s.of.Kind != "" || slices.Contains([]string{podKind, nodeKind, namespaceKind}, about.Kind)) {
		return "", false
	}
	switch about.Kind {
	case nodeKind:
		return projection.NodeName(member, about.Name), true
	case podKind:
		return s.podName(member, types.NamespacedName{Namespace: about.Namespace, Name: about.Name})
	case namespaceKind:
		return about.Name, true
	}
	_, ok := s.templates.Template(member, schema.GroupKind{Group: cmp.Or(s.of.Group, about.Group), Kind: about.Kind}, about.Namespace, about.Name)
	return about.Name, ok
}

// podName returns the name in the fleet of a member's Pod, false if it is not selected.
func (s *shower) podName(member string, in types.NamespacedName) (string, bool) {
	pod, ok := shownPod(s.pods, s.templates, member, in, false)
	if !ok {
		pod, ok = shownPod(s.pods, s.templates, member, in, true)
	}
	if !ok || !s.selector.Matches(labels.Set(pod.GetLabels())) {
		return "", false
	}
	return pod.GetName(), true
}

// describedBy returns what a value is about.
func describedBy(item value) described {
	about, _ := item["describedObject"].(map[string]any)
	text := func(field string) string {
		words, _ := about[field].(string)
		return words
	}
	group := schema.FromAPIVersionAndKind(text("apiVersion"), "").Group
	return described{Kind: text("kind"), Group: group, Namespace: text("namespace"), Name: text("name")}
}

// identityOf is the same for values about the same object and metric.
func identityOf(item value) (string, error) {
	about := describedBy(item)
	key, err := json.Marshal([]any{about.Kind, about.Namespace, about.Name, item["metric"], item["metricName"], item["selector"]})
	return string(key), err
}

// add adds a value to another one, which is then as old as the older.
func add(to, item value) error {
	sum, err := quantityOf(to)
	if err != nil {
		return err
	}
	more, err := quantityOf(item)
	if err != nil {
		return err
	}
	sum.Add(more)
	to["value"] = sum.String()
	if older, ok := item["timestamp"].(string); ok {
		if before, ok := to["timestamp"].(string); ok && older < before {
			to["timestamp"] = older
		}
	}
	return nil
}

// quantityOf returns the number of a value that was checked.
func quantityOf(item value) (resource.Quantity, error) {
	return resource.ParseQuantity(fmt.Sprint(item["value"]))
}
