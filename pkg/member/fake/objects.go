// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package fake

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strconv"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/apimachinery/pkg/util/yaml"
	apirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/client-go/kubernetes/scheme"
)

var resolver = &apirequest.RequestInfoFactory{
	APIPrefixes: sets.NewString("api", "apis"), GrouplessAPIPrefixes: sets.NewString("api"),
}

// serveObjects answers reads and writes of objects.
func (m *Member) serveObjects(w http.ResponseWriter, r *http.Request) {
	info, err := resolver.NewRequestInfo(r)
	if err != nil || !info.IsResourceRequest {
		answerError(w, apierrors.NewGenericServerResponse(http.StatusNotFound, r.Method, schema.GroupResource{}, "", r.URL.Path, 0, true))
		return
	}
	request := Request{Verb: info.Verb, Resource: info.Resource, Namespace: info.Namespace, Name: info.Name, DryRun: r.URL.Query().Has("dryRun")}
	if info.Verb == "patch" && r.Header.Get("Content-Type") == string(types.ApplyPatchType) {
		request.Verb = "apply"
	}
	m.await(r, request)
	m.mu.Lock()
	kind, failure := m.accept(request, schema.GroupVersion{Group: info.APIGroup, Version: info.APIVersion})
	m.mu.Unlock()
	switch {
	case failure != nil:
		answerError(w, failure)
	case request.Verb == "watch":
		m.serveWatch(w, r, kind, info.Namespace)
	default:
		code, body, failure := m.serveObject(r, request, kind)
		if failure != nil {
			answerError(w, failure)
			return
		}
		answer(w, code, body)
	}
}

// await returns when a request may be answered.
func (m *Member) await(r *http.Request, request Request) {
	m.mu.Lock()
	hold := m.hold
	m.mu.Unlock()
	if hold == nil {
		return
	}
	if until := hold(request); until != nil {
		select {
		case <-until:
		case <-r.Context().Done():
		}
	}
}

// accept counts a request and finds the kind it is about.
func (m *Member) accept(request Request, gv schema.GroupVersion) (Kind, *apierrors.StatusError) {
	if request.Verb != "watch" {
		m.requests[request.Verb+" "+request.Resource]++
	}
	if m.fail != nil {
		if failure := m.fail(request); failure != nil {
			return Kind{}, failure
		}
	}
	for _, kind := range m.kinds {
		if kind.GroupVersion() == gv && kind.Resource == request.Resource {
			return kind, nil
		}
	}
	return Kind{}, apierrors.NewGenericServerResponse(http.StatusNotFound, request.Verb, schema.GroupResource{Group: gv.Group, Resource: request.Resource}, "", "404 page not found", 0, true)
}

// serveObject answers everything but a watch.
func (m *Member) serveObject(r *http.Request, request Request, kind Kind) (int, any, *apierrors.StatusError) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return 0, nil, apierrors.NewBadRequest(err.Error())
	}
	namespace := request.Namespace
	if !kind.Namespaced {
		namespace = ""
	}
	query := r.URL.Query()
	m.mu.Lock()
	defer m.mu.Unlock()
	_, live := m.find(kind.Kind, namespace, request.Name)
	notFound := apierrors.NewNotFound(schema.GroupResource{Group: kind.Group, Resource: kind.Resource}, request.Name)
	switch {
	case request.Verb == "list":
		return http.StatusOK, m.list(kind, namespace, query.Get("labelSelector")), nil
	case request.Verb == "create":
		return m.create(kind, namespace, body, query.Get("fieldManager"), request.DryRun)
	case request.Verb == "apply":
		return m.apply(kind, namespace, request.Name, body, query.Get("fieldManager"), query.Get("force") == "true")
	case live == nil:
		return 0, nil, notFound
	case request.Verb == "get":
		return http.StatusOK, live, nil
	case request.Verb == "patch":
		return m.patch(kind, live, body, types.PatchType(r.Header.Get("Content-Type")), query.Get("fieldManager"))
	case request.Verb == "delete":
		return m.delete(kind, live, body)
	default:
		return 0, nil, apierrors.NewMethodNotSupported(schema.GroupResource{Group: kind.Group, Resource: kind.Resource}, request.Verb)
	}
}

func (m *Member) create(kind Kind, namespace string, body []byte, manager string, dryRun bool) (int, any, *apierrors.StatusError) {
	object, failure := decode(body)
	if failure != nil {
		return 0, nil, failure
	}
	if kind.Namespaced {
		object.SetNamespace(namespace)
	}
	if _, live := m.find(kind.Kind, object.GetNamespace(), object.GetName()); live != nil {
		return 0, nil, apierrors.NewAlreadyExists(schema.GroupResource{Group: kind.Group, Resource: kind.Resource}, object.GetName())
	}
	if dryRun {
		return http.StatusCreated, object, nil
	}
	stored, err := m.replace(kind, object, manager, false)
	if err != nil {
		return 0, nil, apierrors.NewInternalError(err)
	}
	return http.StatusCreated, stored, nil
}

// decode reads an object, in protobuf too.
func decode(body []byte) (*unstructured.Unstructured, *apierrors.StatusError) {
	object, _, err := scheme.Codecs.UniversalDeserializer().Decode(body, nil, nil)
	if err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	decoded := &unstructured.Unstructured{Object: content}
	decoded.SetGroupVersionKind(object.GetObjectKind().GroupVersionKind())
	return decoded, nil
}

// errModified is what an API server says of a resourceVersion that is not the latest.
var errModified = errors.New("the object has been modified")

// apply is server-side apply.
func (m *Member) apply(kind Kind, namespace, name string, body []byte, manager string, force bool) (int, any, *apierrors.StatusError) {
	desired := &unstructured.Unstructured{Object: map[string]any{}}
	if err := yaml.Unmarshal(body, &desired.Object); err != nil {
		return 0, nil, apierrors.NewBadRequest(err.Error())
	}
	resource := schema.GroupResource{Group: kind.Group, Resource: kind.Resource}
	code := http.StatusOK
	_, live := m.find(kind.Kind, namespace, name)
	if live == nil {
		if _, found := m.find("Namespace", "", namespace); kind.Namespaced && found == nil {
			return 0, nil, apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, namespace)
		}
		code = http.StatusCreated
		live = empty(kind.GroupVersionKind)
		live.SetName(name)
		live.SetNamespace(namespace)
	}
	if uid := desired.GetUID(); uid != "" && uid != live.GetUID() {
		return 0, nil, apierrors.NewConflict(resource, name, fmt.Errorf("uid mismatch: the provided object specified uid %s, and the existing one has %q", uid, live.GetUID()))
	}
	if version := desired.GetResourceVersion(); version != "" && code == http.StatusOK && version != live.GetResourceVersion() {
		// Of an object that is created, API servers ignore it.
		return 0, nil, apierrors.NewConflict(resource, name, errModified)
	}
	fields, err := m.fieldManager(kind)
	if err != nil {
		return 0, nil, apierrors.NewInternalError(err)
	}
	applied, err := fields.Apply(live.DeepCopy(), desired, manager, force)
	if err != nil {
		if status, ok := err.(*apierrors.StatusError); ok { //nolint:errorlint // upstream returns it unwrapped
			return 0, nil, status
		}
		return 0, nil, apierrors.NewInternalError(err)
	}
	stored := m.store(kind, live, applied.(*unstructured.Unstructured))
	return code, stored, nil
}

func (m *Member) patch(kind Kind, live *unstructured.Unstructured, body []byte, form types.PatchType, manager string) (int, any, *apierrors.StatusError) {
	before, err := json.Marshal(live.Object)
	if err != nil {
		return 0, nil, apierrors.NewInternalError(err)
	}
	after, err := merge(kind, before, body, form)
	if err != nil {
		return 0, nil, apierrors.NewBadRequest(err.Error())
	}
	patched := &unstructured.Unstructured{}
	if err := patched.UnmarshalJSON(after); err != nil {
		return 0, nil, apierrors.NewBadRequest(err.Error())
	}
	if patched.GetResourceVersion() != live.GetResourceVersion() {
		return 0, nil, apierrors.NewConflict(schema.GroupResource{Group: kind.Group, Resource: kind.Resource}, live.GetName(), errModified)
	}
	stored, err := m.replace(kind, patched, manager, true)
	if err != nil {
		return 0, nil, apierrors.NewInternalError(err)
	}
	return http.StatusOK, stored, nil
}

// merge merges a patch as it says, strategically where the kind has a strategy.
func merge(kind Kind, before, patch []byte, form types.PatchType) ([]byte, error) {
	if form == types.StrategicMergePatchType {
		if typed, err := scheme.Scheme.New(kind.GroupVersionKind); err == nil {
			return strategicpatch.StrategicMergePatch(before, patch, typed)
		}
	}
	return jsonpatch.MergePatch(before, patch)
}

func (m *Member) delete(kind Kind, live *unstructured.Unstructured, body []byte) (int, any, *apierrors.StatusError) {
	var options metav1.DeleteOptions
	if len(body) > 0 {
		if err := json.Unmarshal(body, &options); err != nil {
			return 0, nil, apierrors.NewBadRequest(err.Error())
		}
	}
	if p := options.Preconditions; p != nil && p.UID != nil && *p.UID != live.GetUID() {
		return 0, nil, apierrors.NewConflict(schema.GroupResource{Group: kind.Group, Resource: kind.Resource}, live.GetName(), fmt.Errorf("the UID in the precondition does not match"))
	}
	if p := options.Preconditions; p != nil && p.ResourceVersion != nil && *p.ResourceVersion != live.GetResourceVersion() {
		return 0, nil, apierrors.NewConflict(schema.GroupResource{Group: kind.Group, Resource: kind.Resource}, live.GetName(), fmt.Errorf("the ResourceVersion in the precondition does not match"))
	}
	if len(live.GetFinalizers()) == 0 {
		m.drop(kind, live)
		return http.StatusOK, metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusSuccess}, nil
	}
	ending := live.DeepCopy()
	now := metav1.Now()
	ending.SetDeletionTimestamp(&now)
	if options.GracePeriodSeconds != nil {
		ending.SetDeletionGracePeriodSeconds(options.GracePeriodSeconds)
	}
	return http.StatusOK, m.store(kind, live, ending), nil
}

// replace is create and update.
func (m *Member) replace(kind Kind, object *unstructured.Unstructured, manager string, exists bool) (*unstructured.Unstructured, error) {
	_, live := m.find(kind.Kind, object.GetNamespace(), object.GetName())
	if live == nil {
		if exists {
			return nil, fmt.Errorf("%s %s is gone", kind.Kind, object.GetName())
		}
		live = empty(kind.GroupVersionKind)
	}
	fields, err := m.fieldManager(kind)
	if err != nil {
		return nil, err
	}
	updated, err := fields.Update(live.DeepCopy(), object, manager)
	if err != nil {
		return nil, err
	}
	return m.store(kind, live, updated.(*unstructured.Unstructured)), nil
}

// store keeps the object under a new resourceVersion, unless nothing changed.
func (m *Member) store(kind Kind, live, object *unstructured.Unstructured) *unstructured.Unstructured {
	if m.normalize != nil {
		m.normalize(object)
	}
	if live.GetUID() != "" && reflect.DeepEqual(live.Object, object.Object) {
		return live
	}
	event := "MODIFIED"
	if live.GetUID() == "" {
		event = "ADDED"
		object.SetUID(uuid.NewUUID())
		object.SetCreationTimestamp(metav1.Now())
		object.SetGeneration(1)
	} else {
		object.SetUID(live.GetUID())
		object.SetCreationTimestamp(live.GetCreationTimestamp())
		object.SetGeneration(live.GetGeneration())
		if !reflect.DeepEqual(live.Object["spec"], object.Object["spec"]) {
			object.SetGeneration(live.GetGeneration() + 1)
		}
	}
	object.SetResourceVersion(m.nextVersion())
	gvr := kind.GroupVersion().WithResource(kind.Resource)
	if m.objects[gvr] == nil {
		m.objects[gvr] = map[string]*unstructured.Unstructured{}
	}
	m.objects[gvr][object.GetNamespace()+"/"+object.GetName()] = object
	m.notify(gvr, event, live, object)
	return object
}

// drop takes the object away.
func (m *Member) drop(kind Kind, live *unstructured.Unstructured) {
	gvr := kind.GroupVersion().WithResource(kind.Resource)
	delete(m.objects[gvr], live.GetNamespace()+"/"+live.GetName())
	last := live.DeepCopy()
	last.SetResourceVersion(m.nextVersion())
	m.notify(gvr, "DELETED", live, last)
}

func (m *Member) nextVersion() string {
	m.version++
	return strconv.FormatInt(m.version, 10)
}

func (m *Member) kindOf(gvk schema.GroupVersionKind) *Kind {
	for i := range m.kinds {
		if m.kinds[i].GroupVersionKind == gvk {
			return &m.kinds[i]
		}
	}
	return nil
}

// find returns the object and its kind, nil when it does not exist.
func (m *Member) find(kind, namespace, name string) (Kind, *unstructured.Unstructured) {
	for _, served := range m.kinds {
		if served.Kind == kind {
			return served, m.objects[served.GroupVersion().WithResource(served.Resource)][namespace+"/"+name]
		}
	}
	return Kind{}, nil
}

func (m *Member) fieldManager(kind Kind) (*managedfields.FieldManager, error) {
	return managedfields.NewDefaultFieldManager(m.schemas.converter(kind.GroupVersion()), unconverted{}, unconverted{}, unconverted{},
		kind.GroupVersionKind, kind.GroupVersion(), "", nil)
}

func empty(kind schema.GroupVersionKind) *unstructured.Unstructured {
	object := &unstructured.Unstructured{Object: map[string]any{}}
	object.SetGroupVersionKind(kind)
	return object
}

// unconverted is the machinery of a server that has one version of each kind and
// no defaults.
type unconverted struct{}

func (unconverted) Convert(in, out, _ any) error {
	out.(*unstructured.Unstructured).Object = in.(*unstructured.Unstructured).Object
	return nil
}

func (unconverted) ConvertToVersion(in runtime.Object, _ runtime.GroupVersioner) (runtime.Object, error) {
	return in, nil
}

func (unconverted) ConvertFieldLabel(_ schema.GroupVersionKind, label, value string) (string, string, error) {
	return label, value, nil
}

func (unconverted) Default(runtime.Object) {}

func (unconverted) New(kind schema.GroupVersionKind) (runtime.Object, error) { return empty(kind), nil }
