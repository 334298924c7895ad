// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package feedback_test

import (
	"errors"
	"testing"
	"testing/synctest"

	"k8s.io/apimachinery/pkg/api/meta"

	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
)

// errTooLarge is what an API server passes on from etcd.
var errTooLarge = errors.New("etcdserver: request is too large")

// refuseLarge has etcd refuse the next writes of the target for their size.
func refuseLarge(store *etcd, target string, times int) {
	store.beforeWrite = func(of string) error {
		if of == target && times > 0 {
			times--
			return errTooLarge
		}
		return nil
	}
}

// TestBindingTooLarge has a binding whose spec leaves less room for statuses than
// most.
func TestBindingTooLarge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newEtcd()
		store.putBinding(bindingOf("a"))
		store.putTemplate(deploymentOf(2))
		refuseLarge(store, "binding", 4)
		intake, stop := run(t, &server{etcd: store})
		defer stop()
		results, err := intake.Accept(t.Context(), "a", []workv1alpha1.FeedbackItem{ready(2)})
		if err != nil || !results[0].Accepted {
			t.Fatalf("a report is taken without what does not fit: got %v, %v", results, err)
		}
		item := store.binding(web).Status.AggregatedStatus[0]
		if !item.StatusOmitted || item.Status != nil || !item.Applied {
			t.Errorf("all but the status is there: got %+v", item)
		}
		if store.template("web").Object["status"] != nil {
			t.Error("a status that is not known whole makes none of the template")
		}
	})
}

func TestTemplateTooLarge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newEtcd()
		store.putBinding(bindingOf("a"))
		store.putTemplate(deploymentOf(2))
		refuseLarge(store, "template", 1)
		intake, stop := run(t, &server{etcd: store})
		defer stop()
		report := func(n int) string {
			t.Helper()
			if _, err := intake.Accept(t.Context(), "a", []workv1alpha1.FeedbackItem{ready(n)}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			condition := meta.FindStatusCondition(store.binding(web).Status.Conditions, workv1alpha1.ConditionStatusComplete)
			if condition == nil {
				return ""
			}
			return condition.Reason
		}
		if got := report(1); got != "TemplateTooLarge" {
			t.Errorf("the binding says that the status does not fit: got %q", got)
		}
		if got := report(2); got != "" {
			t.Errorf("it fits now: got %q", got)
		}
	})
}
