// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package usage

import (
	"encoding/json"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"fleet.dev/fleet/pkg/projection"
)

// described is what a value is about.
type described struct {
	Kind, Namespace, Name string
}

// shower says how the fleet shows what values are about.
type shower struct {
	pods     Pods
	selector labels.Selector
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
// fleet does not show.
func (s *shower) show(member string, item value) bool {
	about, _ := item["describedObject"].(map[string]any)
	of := describedBy(item)
	switch of.Kind {
	case "Node":
		about["name"] = projection.NodeName(member, of.Name)
	case "Pod":
		in := types.NamespacedName{Namespace: of.Namespace, Name: of.Name}
		pod, ok := s.pods.Shown(member, in, false)
		if !ok {
			pod, ok = s.pods.Shown(member, in, true)
		}
		if !ok || !s.selector.Matches(labels.Set(pod.GetLabels())) {
			return false
		}
		about["name"] = pod.GetName()
	}
	return true
}

// describedBy returns what a value is about.
func describedBy(item value) described {
	about, _ := item["describedObject"].(map[string]any)
	text := func(field string) string {
		words, _ := about[field].(string)
		return words
	}
	return described{Kind: text("kind"), Namespace: text("namespace"), Name: text("name")}
}

// identityOf is the same for values about the same object and metric.
func identityOf(item value) (string, error) {
	key, err := json.Marshal([]any{describedBy(item), item["metric"], item["metricName"], item["selector"]})
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
