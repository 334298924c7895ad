// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package placementpreview

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/initializer"
	"k8s.io/apiserver/pkg/warning"
	"k8s.io/client-go/kubernetes"
	"k8s.io/klog/v2"

	"fleet.dev/fleet/pkg/scheduler"
	"fleet.dev/fleet/pkg/scheduler/source"
	"fleet.dev/fleet/pkg/scheduler/template"
)

// PluginName is the name of the plugin in flags.
const PluginName = "PlacementPreview"

// patience is how long a dry run waits for its preview.
const patience = 2 * time.Second

// atOnce is how many previews are made at the same time. Each reads all bindings of a
// namespace, also after the dry run gave it up.
const atOnce = 4

// errBusy says that so many previews are being made already.
var errBusy = errors.New("busy with other previews")

// errPanicked says that a preview ran into a defect; the log has it.
var errPanicked = errors.New("the preview failed")

// Register adds the plugin to those that can be enabled.
func Register(plugins *admission.Plugins, fleet *Fleet) {
	plugins.Register(PluginName, func(io.Reader) (admission.Interface, error) { return New(fleet), nil })
}

// Plugin warns dry runs of where their object would be placed.
type Plugin struct {
	*admission.Handler
	fleet      *Fleet
	kubeClient kubernetes.Interface
	// slots has one entry for each preview that is being made.
	slots chan struct{}
}

var (
	_ admission.ValidationInterface          = &Plugin{}
	_ admission.InitializationValidator      = &Plugin{}
	_ initializer.WantsExternalKubeClientSet = &Plugin{}
)

// New returns the plugin without a client.
func New(fleet *Fleet) *Plugin {
	return &Plugin{Handler: admission.NewHandler(admission.Create, admission.Update), fleet: fleet, slots: make(chan struct{}, atOnce)}
}

// SetExternalKubeClientSet implements initializer.WantsExternalKubeClientSet.
func (p *Plugin) SetExternalKubeClientSet(client kubernetes.Interface) { p.kubeClient = client }

// ValidateInitialization implements admission.InitializationValidator.
func (p *Plugin) ValidateInitialization() error {
	if p.kubeClient == nil {
		return errors.New("a client is missing")
	}
	return nil
}

// Validate implements admission.ValidationInterface. It refuses nothing.
func (p *Plugin) Validate(ctx context.Context, a admission.Attributes, o admission.ObjectInterfaces) error {
	if !a.IsDryRun() || a.GetSubresource() != "" || template.KindStays(a.GetKind().GroupKind()) {
		return nil
	}
	target, err := targetOf(a, o)
	if err != nil {
		warning.AddWarning(ctx, "", unknown(err))
		return nil
	}
	warning.AddWarning(ctx, "", p.preview(ctx, target))
	return nil
}

// target is what is placed.
type target struct {
	kind   source.Kind
	object *unstructured.Unstructured
}

func targetOf(a admission.Attributes, o admission.ObjectInterfaces) (*target, error) {
	versioned, err := admission.NewVersionedAttributes(a, a.GetKind(), o)
	if err != nil {
		return nil, fmt.Errorf("convert to %s: %w", a.GetKind().GroupVersion(), err)
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(versioned.VersionedObject)
	if err != nil {
		return nil, fmt.Errorf("read the object: %w", err)
	}
	// Neither step above has to copy, and the request goes on to change its object
	// while a preview that was given up still reads.
	object := &unstructured.Unstructured{Object: runtime.DeepCopyJSON(content)}
	return &target{kind: source.KindOf(a.GetKind(), a.GetResource(), object.GetNamespace() != ""), object: object}, nil
}

// preview is the warning for a target. What takes too long is given up, and when there
// is too much to do already it is not begun.
func (p *Plugin) preview(ctx context.Context, t *target) string {
	select {
	case p.slots <- struct{}{}:
	default:
		return unknown(errBusy)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	done := make(chan string, 1)
	go func() {
		text := p.text(ctx, t)
		<-p.slots
		done <- text
	}()
	select {
	case text := <-done:
		return text
	case <-ctx.Done():
		return unknown(fmt.Errorf("it took more than %s to find out", patience))
	}
}

// text is the warning for a target, however long it takes. A panic is one more reason not
// to know: in a goroutine of its own it would end the server.
func (p *Plugin) text(ctx context.Context, t *target) (text string) {
	defer func() {
		if cause := recover(); cause != nil {
			klog.FromContext(ctx).Error(nil, "Preview of a placement panicked", "cause", cause, "stack", string(debug.Stack()))
			text = unknown(errPanicked)
		}
	}()
	explanation, err := p.explain(ctx, t)
	if err != nil {
		return unknown(err)
	}
	return describe(explanation)
}

func (p *Plugin) explain(ctx context.Context, t *target) (*scheduler.Explanation, error) {
	state, err := p.fleet.state(ctx, t)
	if err != nil {
		return nil, err
	}
	if state.Namespace, err = p.namespace(ctx, t.object.GetNamespace()); err != nil {
		return nil, err
	}
	return scheduler.Explain(ctx, *state)
}

// namespace returns the namespace of a target with its hints, nil when there is
// none.
func (p *Plugin) namespace(ctx context.Context, name string) (*template.Template, error) {
	if name == "" {
		return nil, nil
	}
	found, err := p.kubeClient.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("get namespace %q: %w", name, err)
	}
	accessor, err := meta.Accessor(found)
	if err != nil {
		return nil, err
	}
	return template.New(namespaceKind, accessor, template.Traits{}), nil
}
