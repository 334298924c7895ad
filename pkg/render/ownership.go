// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package render

import (
	"bytes"
	"encoding/json"

	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// ownedFields returns the fields somebody wrote, by the object's managedFields.
// Fields the registry filled in afterwards (addresses, ports) are in no set.
// Entries of subresources and entries that cannot be read are left out.
func ownedFields(object map[string]any) *fieldpath.Set {
	owned := fieldpath.NewSet()
	for _, entry := range mapsAt(object, "metadata", "managedFields") {
		if subresource, _ := entry["subresource"].(string); subresource != "" {
			continue
		}
		raw, err := json.Marshal(entry["fieldsV1"])
		if err != nil {
			continue
		}
		set := &fieldpath.Set{}
		if err := set.FromJSON(bytes.NewReader(raw)); err != nil {
			continue
		}
		owned = owned.Union(set)
	}
	return owned
}

// owns says whether the path is in the set. Parts are field names and the keys
// of list items.
func owns(owned *fieldpath.Set, parts ...any) bool {
	path, err := fieldpath.MakePath(parts...)
	return err == nil && owned != nil && owned.Has(path)
}

// servicePortKey is the merge key of an item of Service.spec.ports.
func servicePortKey(port map[string]any) any {
	protocol := port["protocol"]
	if protocol == nil {
		protocol = "TCP"
	}
	return fieldpath.KeyByFields("port", port["port"], "protocol", protocol)
}
