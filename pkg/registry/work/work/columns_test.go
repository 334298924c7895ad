// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package work

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fleet.dev/fleet/pkg/apis/work"
	"fleet.dev/fleet/pkg/registry/table"
	"fleet.dev/fleet/pkg/registry/table/tabletest"
)

func TestColumns(t *testing.T) {
	made := func(name, member string, template work.TemplateReference, deleted, orphan bool) *work.Work {
		return &work.Work{
			ObjectMeta: metav1.ObjectMeta{Namespace: "fleet-cluster-" + member, Name: name},
			Spec:       work.WorkSpec{Template: template, ContentHash: "5d41402a", Deleted: deleted, Orphan: orphan},
		}
	}
	web := work.TemplateReference{Kind: "Deployment", Namespace: "shop", Name: "web"}
	tabletest.Golden(t, table.New(columns, cells), "columns.txt",
		made("web-deployment-1b2c3d4e", "m1", web, false, false),
		made("web-deployment-1b2c3d4e", "eu-west-1", web, true, false),
		made("web-deployment-1b2c3d4e", "m3", web, true, true),
		made("reader-clusterrole-5e6f7a8b", "m1", work.TemplateReference{Kind: "ClusterRole", Name: "reader"}, false, false),
	)
}
