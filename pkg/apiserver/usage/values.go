// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package usage

import (
	"encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"fleet.dev/fleet/pkg/projection"
)

// described is what a value is about.
type described struct {
	Kind      string `json:"kind,omitempty"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name,omitempty"`
}

// shower says how the fleet shows what values are about.
type shower struct {
	pods     Pods
	selector labels.Selector
}

// custom makes one list of the values of all members, about the objects the fleet
// shows. Values about the same object and metric are added up.
func custom(answers []answer[valueList], by *shower) ([]value, error) {
	items := []value{}
	sums := map[string]int{} // places in items
	for _, answer := range answers {
		for _, item := range answer.body.Items {
			shown, err := by.show(answer.member, item)
			if err != nil {
				return nil, fmt.Errorf("read a value of member %q: %w", answer.member, err)
			}
			if !shown {
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
func (s *shower) show(member string, item value) (bool, error) {
	about, ok := item["describedObject"].(map[string]any)
	if !ok {
		return false, fmt.Errorf("it does not say what it is about: %v", item)
	}
	kind, _ := about["kind"].(string)
	name, _ := about["name"].(string)
	namespace, _ := about["namespace"].(string)
	switch kind {
	case "Node":
		about["name"] = projection.NodeName(member, name)
	case "Pod":
		in := types.NamespacedName{Namespace: namespace, Name: name}
		pod, ok := s.pods.Shown(member, in, false)
		if !ok {
			pod, ok = s.pods.Shown(member, in, true)
		}
		if !ok || !s.selector.Matches(labels.Set(pod.GetLabels())) {
			return false, nil
		}
		about["name"] = pod.GetName()
	}
	return true, nil
}

// identityOf is the same for values about the same object and metric.
func identityOf(item value) (string, error) {
	about := described{}
	encoded, err := json.Marshal(item["describedObject"])
	if err == nil {
		err = json.Unmarshal(encoded, &about)
	}
	if err != nil {
		return "", err
	}
	key, err := json.Marshal([]any{about, item["metric"], item["metricName"], item["selector"]})
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

func quantityOf(item value) (resource.Quantity, error) {
	return resource.ParseQuantity(fmt.Sprint(item["value"]))
}
