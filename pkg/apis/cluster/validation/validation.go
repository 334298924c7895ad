// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"fmt"
	"slices"
	"strings"

	apimachineryvalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"fleet.dev/fleet/pkg/apis/cluster"
	"fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/pkg/apis/fieldcheck"
)

const (
	maxIDLength    = 128
	maxPlaceLength = 128
)

// ClusterName returns what is wrong with the name of a Cluster; with prefix it
// may end in a dash.
func ClusterName(name string, prefix bool) []string {
	found := apimachineryvalidation.NameIsDNSLabel(name, prefix)
	if len(name) > v1alpha1.MaxClusterNameLength {
		found = append(found, validation.MaxLenError(v1alpha1.MaxClusterNameLength))
	}
	return found
}

// ClusterNames accepts a list of names of Clusters without duplicates.
func ClusterNames(names []string, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, name := range names {
		errs = append(errs, ClusterReference(name, path.Index(i))...)
	}
	return append(errs, fieldcheck.Unique(names, path, fieldcheck.Itself[string])...)
}

// ClusterReference accepts the name of a Cluster.
func ClusterReference(name string, path *field.Path) field.ErrorList {
	if name == "" {
		return field.ErrorList{field.Required(path, "")}
	}
	var errs field.ErrorList
	for _, message := range ClusterName(name, false) {
		errs = append(errs, field.Invalid(path, name, message))
	}
	return errs
}

// ValidateCluster validates a new Cluster.
func ValidateCluster(c *cluster.Cluster) field.ErrorList {
	errs := apimachineryvalidation.ValidateObjectMeta(&c.ObjectMeta, false, ClusterName, field.NewPath("metadata"))
	return append(errs, validateSpec(c.Name, &c.Spec, field.NewPath("spec"))...)
}

// ValidateClusterUpdate validates a change of metadata or spec.
func ValidateClusterUpdate(c, old *cluster.Cluster) field.ErrorList {
	errs := apimachineryvalidation.ValidateObjectMetaUpdate(&c.ObjectMeta, &old.ObjectMeta, field.NewPath("metadata"))
	errs = append(errs, validateSpec(c.Name, &c.Spec, field.NewPath("spec"))...)
	if old.Spec.ID != "" {
		errs = append(errs, fieldcheck.Unchanged(c.Spec.ID, old.Spec.ID, field.NewPath("spec", "id"))...)
	}
	return errs
}

func validateSpec(member string, spec *cluster.ClusterSpec, path *field.Path) field.ErrorList {
	errs := fieldcheck.Enum(spec.SyncMode, path.Child("syncMode"), cluster.Push, cluster.Pull)
	errs = append(errs, fieldcheck.MaxLength(spec.ID, maxIDLength, path.Child("id"))...)
	errs = append(errs, validateConnection(member, spec, path)...)
	errs = append(errs, validatePlace(spec, path)...)
	errs = append(errs, fieldcheck.Taints(spec.Taints, path.Child("taints"))...)
	return append(errs, validateResourceModels(spec.ResourceModels, path.Child("resourceModels"))...)
}

func validateConnection(member string, spec *cluster.ClusterSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if spec.APIEndpoint != "" {
		errs = append(errs, fieldcheck.URL(spec.APIEndpoint, path.Child("apiEndpoint"), "https")...)
	}
	errs = append(errs, validateSecretRef(member, spec.SecretRef, path.Child("secretRef"))...)
	errs = append(errs, validateSecretRef(member, spec.ImpersonatorSecretRef, path.Child("impersonatorSecretRef"))...)
	if spec.ProxyURL != "" {
		errs = append(errs, fieldcheck.URL(spec.ProxyURL, path.Child("proxyURL"), "http", "https", "socks5")...)
	} else if len(spec.ProxyHeader) > 0 {
		errs = append(errs, field.Forbidden(path.Child("proxyHeader"), "may be set only with proxyURL"))
	}
	for name, value := range spec.ProxyHeader {
		where := path.Child("proxyHeader").Key(name)
		for _, message := range validation.IsHTTPHeaderName(name) {
			errs = append(errs, field.Invalid(where, name, message))
		}
		if strings.ContainsAny(value, "\r\n") {
			errs = append(errs, field.Invalid(where, value, "must be one line"))
		}
	}
	return errs
}

// validateSecretRef allows Secrets of the member's own namespace only: the fleet
// sends what is in them to an address that whoever writes the Cluster chooses.
func validateSecretRef(member string, ref *cluster.LocalSecretReference, path *field.Path) field.ErrorList {
	if ref == nil {
		return nil
	}
	var errs field.ErrorList
	if want := v1alpha1.MemberNamespace(member); ref.Namespace != want {
		errs = append(errs, field.Invalid(path.Child("namespace"), ref.Namespace, fmt.Sprintf("must be %q, the namespace of the member", want)))
	}
	return append(errs, fieldcheck.Subdomain(ref.Name, path.Child("name"))...)
}

func validatePlace(spec *cluster.ClusterSpec, path *field.Path) field.ErrorList {
	errs := fieldcheck.MaxLength(spec.Provider, maxPlaceLength, path.Child("provider"))
	errs = append(errs, fieldcheck.MaxLength(spec.Region, maxPlaceLength, path.Child("region"))...)
	errs = append(errs, validateZones(spec.Zones, path.Child("zones"))...)
	if spec.Zone != "" && !slices.Contains(spec.Zones, spec.Zone) {
		errs = append(errs, field.Invalid(path.Child("zone"), spec.Zone, "must be one of zones; it is deprecated and may be left out"))
	}
	return errs
}

func validateZones(zones []string, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, zone := range zones {
		errs = append(errs, fieldcheck.Required(strings.TrimSpace(zone), path.Index(i))...)
		errs = append(errs, fieldcheck.MaxLength(zone, maxPlaceLength, path.Index(i))...)
	}
	return append(errs, fieldcheck.Unique(zones, path, fieldcheck.Itself[string])...)
}

func validateResourceModels(models []cluster.ResourceModel, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, model := range models {
		where := path.Index(i)
		if int(model.Grade) != i {
			errs = append(errs, field.Invalid(where.Child("grade"), model.Grade, fmt.Sprintf("must be %d: grades start at 0 and rise by one", i)))
		}
		errs = append(errs, validateRanges(model.Ranges, where.Child("ranges"))...)
		if i > 0 {
			errs = append(errs, validateContiguous(models[i-1].Ranges, model.Ranges, where.Child("ranges"))...)
		}
	}
	return errs
}

func validateRanges(ranges []cluster.ResourceModelRange, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if len(ranges) == 0 {
		errs = append(errs, field.Required(path, "at least one range"))
	}
	for i, r := range ranges {
		where := path.Index(i)
		errs = append(errs, fieldcheck.LabelKey(string(r.Name), where.Child("name"))...)
		if r.Min.Sign() < 0 {
			errs = append(errs, field.Invalid(where.Child("min"), r.Min.String(), "must not be negative"))
		}
		if r.Max.Cmp(r.Min) <= 0 {
			errs = append(errs, field.Invalid(where.Child("max"), r.Max.String(), "must be greater than min"))
		}
	}
	return append(errs, fieldcheck.Unique(ranges, path, func(r cluster.ResourceModelRange, path *field.Path) (string, *field.Path) {
		return string(r.Name), path.Child("name")
	})...)
}

// validateContiguous wants every range of the grade below to be continued.
func validateContiguous(below, ranges []cluster.ResourceModelRange, path *field.Path) field.ErrorList {
	if len(below) != len(ranges) {
		return field.ErrorList{field.Invalid(path, len(ranges), "must be about the same resources as the grade before")}
	}
	var errs field.ErrorList
	for i, r := range ranges {
		at := slices.IndexFunc(below, func(b cluster.ResourceModelRange) bool { return b.Name == r.Name })
		switch {
		case at < 0:
			errs = append(errs, field.Invalid(path.Index(i).Child("name"), r.Name, "must be a resource of the grade before"))
		case below[at].Max.Cmp(r.Min) != 0:
			errs = append(errs, field.Invalid(path.Index(i).Child("min"), r.Min.String(), fmt.Sprintf("must be the max of the grade before, %s", below[at].Max.String())))
		}
	}
	return errs
}

// ValidateClusterStatusUpdate validates a change of the status.
func ValidateClusterStatusUpdate(c, old *cluster.Cluster) field.ErrorList {
	errs := apimachineryvalidation.ValidateObjectMetaUpdate(&c.ObjectMeta, &old.ObjectMeta, field.NewPath("metadata"))
	path, status := field.NewPath("status"), &c.Status
	errs = append(errs, metav1validation.ValidateConditions(status.Conditions, path.Child("conditions"))...)
	errs = append(errs, validateAPIEnablements(status.APIEnablements, path.Child("apiEnablements"))...)
	if nodes := status.NodeSummary; nodes != nil {
		where := path.Child("nodeSummary")
		errs = append(errs, fieldcheck.NotLess(nodes.TotalNum, 0, where.Child("totalNum"))...)
		errs = append(errs, between(nodes.ReadyNum, nodes.TotalNum, where.Child("readyNum"))...)
	}
	if sum := status.ResourceSummary; sum != nil {
		where := path.Child("resourceSummary")
		errs = append(errs, fieldcheck.Resources(sum.Allocatable, where.Child("allocatable"))...)
		errs = append(errs, fieldcheck.Resources(sum.Allocating, where.Child("allocating"))...)
		errs = append(errs, fieldcheck.Resources(sum.Allocated, where.Child("allocated"))...)
		for i, modeling := range sum.AllocatableModelings {
			errs = append(errs, fieldcheck.NotLess(modeling.Count, 0, where.Child("allocatableModelings").Index(i).Child("count"))...)
		}
	}
	errs = append(errs, validateObservedPlace(status, path)...)
	return append(errs, validateCapacity(status.Capacity, path.Child("capacity"))...)
}

// validateObservedPlace bounds the place as validatePlace does.
func validateObservedPlace(status *cluster.ClusterStatus, path *field.Path) field.ErrorList {
	errs := fieldcheck.MaxLength(status.Provider, maxPlaceLength, path.Child("provider"))
	errs = append(errs, fieldcheck.MaxLength(status.Region, maxPlaceLength, path.Child("region"))...)
	return append(errs, validateZones(status.Zones, path.Child("zones"))...)
}

func validateAPIEnablements(enablements []cluster.APIEnablement, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, enablement := range enablements {
		errs = append(errs, fieldcheck.Required(enablement.GroupVersion, path.Index(i).Child("groupVersion"))...)
	}
	return append(errs, fieldcheck.Unique(enablements, path, func(e cluster.APIEnablement, path *field.Path) (string, *field.Path) {
		return e.GroupVersion, path.Child("groupVersion")
	})...)
}

func validateCapacity(capacity *cluster.ClusterCapacity, path *field.Path) field.ErrorList {
	if capacity == nil {
		return nil
	}
	errs := validateQuotas(capacity.Quotas, path.Child("quotas"))
	path = path.Child("classes")
	for i, class := range capacity.Classes {
		where := path.Index(i)
		errs = append(errs, fieldcheck.Required(class.Name, where.Child("name"))...)
		errs = append(errs, fieldcheck.NotLess(class.Nodes, 0, where.Child("nodes"))...)
		for j, free := range class.Free {
			errs = append(errs, between(free.Count, class.Nodes, where.Child("free").Index(j).Child("count"))...)
			errs = append(errs, fieldcheck.Resources(free.Resources, where.Child("free").Index(j).Child("resources"))...)
			errs = append(errs, validateHostPorts(free.HostPorts, where.Child("free").Index(j).Child("hostPorts"))...)
		}
	}
	return append(errs, fieldcheck.Unique(capacity.Classes, path, func(c cluster.CapacityClass, path *field.Path) (string, *field.Path) {
		return c.Name, path.Child("name")
	})...)
}

// maxQuotas is the most quotas a member reports.
const maxQuotas = 1000

func validateQuotas(quotas []cluster.NamespaceQuota, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if len(quotas) > maxQuotas {
		errs = append(errs, field.TooMany(path, len(quotas), maxQuotas))
	}
	for i, quota := range quotas {
		where := path.Index(i)
		errs = append(errs, fieldcheck.Required(quota.Namespace, where.Child("namespace"))...)
		errs = append(errs, fieldcheck.Required(quota.Name, where.Child("name"))...)
		errs = append(errs, fieldcheck.Resources(quota.Remaining, where.Child("remaining"))...)
	}
	return append(errs, fieldcheck.Unique(quotas, path, func(q cluster.NamespaceQuota, path *field.Path) (string, *field.Path) {
		return q.Namespace + "/" + q.Name, path.Child("name")
	})...)
}

func validateHostPorts(ports []cluster.HostPort, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, port := range ports {
		for _, message := range validation.IsValidPortNum(int(port.Port)) {
			errs = append(errs, field.Invalid(path.Index(i).Child("port"), port.Port, message))
		}
	}
	return errs
}

func between(value, most int32, path *field.Path) field.ErrorList {
	if value >= 0 && value <= max(most, 0) {
		return nil
	}
	return field.ErrorList{field.Invalid(path, value, fmt.Sprintf("must be between 0 and %d", most))}
}
