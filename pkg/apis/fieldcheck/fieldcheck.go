// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package fieldcheck

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validate/content"
	apimachineryvalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// MaxExpressionLength is the longest CEL expression in bytes.
const MaxExpressionLength = 10 * 1024

// Enum accepts the allowed values.
func Enum[T ~string](value T, path *field.Path, allowed ...T) field.ErrorList {
	if slices.Contains(allowed, value) {
		return nil
	}
	if value == "" {
		return field.ErrorList{field.Required(path, fmt.Sprintf("one of %s", list(allowed)))}
	}
	return field.ErrorList{field.NotSupported(path, value, allowed)}
}

// OptionalEnum accepts the allowed values and the empty one.
func OptionalEnum[T ~string](value T, path *field.Path, allowed ...T) field.ErrorList {
	if value == "" {
		return nil
	}
	return Enum(value, path, allowed...)
}

// NotLess accepts numbers that are not less than least.
func NotLess[T cmp.Ordered](value, least T, path *field.Path) field.ErrorList {
	if value >= least {
		return nil
	}
	return field.ErrorList{field.Invalid(path, value, fmt.Sprintf("must be at least %v", least))}
}

// Required accepts what is not empty.
func Required[T ~string](value T, path *field.Path) field.ErrorList {
	if value != "" {
		return nil
	}
	return field.ErrorList{field.Required(path, "")}
}

// MaxLength accepts text of at most limit bytes.
func MaxLength(value string, limit int, path *field.Path) field.ErrorList {
	if len(value) <= limit {
		return nil
	}
	return field.ErrorList{field.TooLong(path, value, limit)}
}

// Subdomain accepts the name of an object: a DNS-1123 subdomain.
func Subdomain(value string, path *field.Path) field.ErrorList {
	if value == "" {
		return field.ErrorList{field.Required(path, "")}
	}
	return messages(validation.IsDNS1123Subdomain(value), value, path)
}

// Namespace accepts the name of a namespace: a DNS-1123 label.
func Namespace(value string, path *field.Path) field.ErrorList {
	if value == "" {
		return field.ErrorList{field.Required(path, "")}
	}
	return messages(validation.IsDNS1123Label(value), value, path)
}

// LabelKey accepts the key of a label.
func LabelKey(value string, path *field.Path) field.ErrorList {
	if value == "" {
		return field.ErrorList{field.Required(path, "")}
	}
	return messages(validation.IsQualifiedName(value), value, path)
}

// LabelValue accepts the value of a label, which may be empty.
func LabelValue(value string, path *field.Path) field.ErrorList {
	return messages(validation.IsValidLabelValue(value), value, path)
}

// Unique accepts lists whose keys, as key makes them, differ.
func Unique[T any, K comparable](items []T, path *field.Path, key func(item T, path *field.Path) (K, *field.Path)) field.ErrorList {
	var errs field.ErrorList
	seen := make(map[K]struct{}, len(items))
	for i, item := range items {
		k, where := key(item, path.Index(i))
		if _, again := seen[k]; again {
			errs = append(errs, field.Duplicate(where, k))
		}
		seen[k] = struct{}{}
	}
	return errs
}

// Itself is the key of Unique for a list of plain values.
func Itself[T any](item T, path *field.Path) (T, *field.Path) { return item, path }

// GroupVersion accepts an apiVersion.
func GroupVersion(value string, path *field.Path) field.ErrorList {
	if value == "" {
		return field.ErrorList{field.Required(path, "")}
	}
	gv, err := schema.ParseGroupVersion(value)
	switch {
	case err != nil:
		return field.ErrorList{field.Invalid(path, value, "must be group/version, or the version of the core group")}
	case gv.Group != "" && len(validation.IsDNS1123Subdomain(gv.Group)) > 0, len(validation.IsDNS1035Label(gv.Version)) > 0:
		return field.ErrorList{field.Invalid(path, value, "must be group/version, or the version of the core group")}
	}
	return nil
}

// Kind accepts the name of a kind.
func Kind(value string, path *field.Path) field.ErrorList {
	if value == "" {
		return field.ErrorList{field.Required(path, "")}
	}
	return messages(validation.IsDNS1035Label(strings.ToLower(value)), value, path)
}

// ObjectName accepts the name of an object of any kind: a path segment.
func ObjectName(value string, path *field.Path) field.ErrorList {
	if value == "" {
		return field.ErrorList{field.Required(path, "")}
	}
	return messages(content.IsPathSegmentName(value), value, path)
}

// JSONPointer accepts a JSON pointer (RFC 6901) to something inside a document.
func JSONPointer(value string, path *field.Path) field.ErrorList {
	if value == "" {
		return field.ErrorList{field.Required(path, "")}
	}
	if !strings.HasPrefix(value, "/") {
		return field.ErrorList{field.Invalid(path, value, "must be a JSON pointer, which begins with /")}
	}
	for i, r := range value {
		if r == '~' && !strings.HasPrefix(value[i+1:], "0") && !strings.HasPrefix(value[i+1:], "1") {
			return field.ErrorList{field.Invalid(path, value, "must be a JSON pointer, in which ~ is written ~0 and / inside a key ~1")}
		}
	}
	return nil
}

// URL accepts an absolute URL with one of the schemes and a host, and without
// user, query and fragment.
func URL(value string, path *field.Path, schemes ...string) field.ErrorList {
	parsed, err := url.Parse(value)
	switch {
	case err != nil:
		return field.ErrorList{field.Invalid(path, value, "must be a URL")}
	case !slices.Contains(schemes, parsed.Scheme):
		return field.ErrorList{field.Invalid(path, value, fmt.Sprintf("must be a URL with scheme %s", strings.Join(schemes, ", ")))}
	case parsed.Hostname() == "":
		return field.ErrorList{field.Invalid(path, value, "must be a URL with a host")}
	case parsed.RawQuery != "" || parsed.Fragment != "":
		return field.ErrorList{field.Invalid(path, value, "must be a URL without query and fragment")}
	}
	return nil
}

// Expression accepts CEL text by its length; whoever has a compiler checks more.
func Expression(value string, path *field.Path) field.ErrorList {
	if strings.TrimSpace(value) == "" {
		return field.ErrorList{field.Required(path, "")}
	}
	return MaxLength(value, MaxExpressionLength, path)
}

// Resources accepts amounts of resources that are not negative.
func Resources(resources corev1.ResourceList, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for name, quantity := range resources {
		where := path.Key(string(name))
		errs = append(errs, LabelKey(string(name), where)...)
		if quantity.Sign() < 0 {
			errs = append(errs, field.Invalid(where, quantity.String(), "must not be negative"))
		}
	}
	return errs
}

// Unchanged accepts a value that is as it was.
func Unchanged[T comparable](value, old T, path *field.Path) field.ErrorList {
	if value == old {
		return nil
	}
	return field.ErrorList{field.Invalid(path, value, apimachineryvalidation.FieldImmutableErrorMsg)}
}

func messages(found []string, value string, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, message := range found {
		errs = append(errs, field.Invalid(path, value, message))
	}
	return errs
}

func list[T ~string](values []T) string {
	texts := make([]string, len(values))
	for i, value := range values {
		texts[i] = string(value)
	}
	return strings.Join(texts, ", ")
}
