// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package scheduler

import (
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	policyv1alpha1 "fleet.dev/fleet/pkg/apis/policy/v1alpha1"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/scheduler/framework"
	"fleet.dev/fleet/pkg/scheduler/metrics"
)

const (
	// evictionReason is the reason of tasks this scheduler makes.
	evictionReason = "Moved"
	// evictionGrace is how long an old copy waits for its replacement when the task
	// does not say.
	evictionGrace = 10 * time.Minute
	// evictionRecheck is when to look again at a task whose time is over and that
	// may not end for another reason.
	evictionRecheck = time.Minute
)

// Workloads leave members in good order: a member that a decision takes off the
// list, or gives fewer replicas in favour of others, keeps what it had, as an eviction task,
// until those that are to run the workload report that they do, or the task's grace
// period ends. Whoever else makes tasks, they end here.
//
// A task ends for its time only with a decision that stands, and while the members
// decided upon answer: the last copy is not given up for a plan that came to
// nothing.

// tasksFor returns the tasks of a binding that is to list the members. stands says
// that this is a decision, not for want of one.
func (s *Scheduler) tasksFor(subject *subject, clusters []workv1alpha1.TargetCluster, stands bool) []workv1alpha1.GracefulEvictionTask {
	if subject.binding == nil || subject.recreated() {
		return nil
	}
	before := subject.binding.GetSpec()
	if len(clusters) == 0 {
		return before.GracefulEvictionTasks
	}
	moved := !slices.Equal(before.Clusters, clusters)
	var tasks []workv1alpha1.GracefulEvictionTask
	for _, task := range before.GracefulEvictionTasks {
		if (task.Replicas != nil || !listed(clusters, task.FromCluster)) && !s.ended(subject, &task, moved, stands) {
			tasks = append(tasks, task)
		}
	}
	if moved {
		tasks = append(s.shrinking(subject, clusters, tasks), newTasks(subject, before.Clusters, clusters)...)
	}
	s.remindOf(subject, tasks)
	return tasks
}

// evict ends tasks where there is no decision to do it.
func (s *Scheduler) evict(d *decision) {
	if d.spec != nil || d.binding == nil || d.template == nil || d.remove || d.suspended() || d.result == metrics.Unchanged {
		return
	}
	before := d.binding.GetSpec()
	tasks := s.tasksFor(d.subject, before.Clusters, false)
	if len(tasks) == len(before.GracefulEvictionTasks) {
		return
	}
	spec := *before
	spec.GracefulEvictionTasks = tasks
	d.spec = &spec
}

// newTasks returns the tasks of the members a decision takes off the list.
func newTasks(subject *subject, before, after []workv1alpha1.TargetCluster) []workv1alpha1.GracefulEvictionTask {
	if subject.template.Workload == nil || subject.template.Workload.Finished || !replaces(before, after) {
		return nil
	}
	if subject.template.IsStatefulSet() && len(before) > 1 {
		// The members that go on counting run Pods of the same names.
		return nil
	}
	var tasks []workv1alpha1.GracefulEvictionTask
	for _, cluster := range before {
		if listed(after, cluster.Name) || slices.Contains(subject.missing, cluster.Name) || subject.stuck.emptied(cluster.Name, cluster.Replicas) {
			continue
		}
		// Not those that make room for others.
		if keeps := subject.placed[cluster.Name]; keeps > 0 || cluster.Replicas == 0 {
			tasks = append(tasks, newTask(cluster.Name, keeps))
		}
	}
	return tasks
}

// newTask has replicas leave a member, all there are when it is 0.
func newTask(member string, replicas int32) workv1alpha1.GracefulEvictionTask {
	task := workv1alpha1.GracefulEvictionTask{
		FromCluster: member,
		PurgeMode:   policyv1alpha1.PurgeGracefully,
		Reason:      evictionReason,
		Message:     "placed on other members",
		Producer:    component,
	}
	if replicas > 0 {
		task.Replicas = &replicas
	}
	return task
}

// shrinking returns the tasks by which the members of a decision keep replicas that
// others are to take over. Of the tasks there are those that stay as they are, but
// for what the decision gives back to their members.
func (s *Scheduler) shrinking(subject *subject, after []workv1alpha1.TargetCluster, tasks []workv1alpha1.GracefulEvictionTask) []workv1alpha1.GracefulEvictionTask {
	if subject.template.IsStatefulSet() || subject.template.Workload == nil || subject.template.Workload.Finished {
		// Pods that are counted through have one place.
		return slices.DeleteFunc(tasks, func(t workv1alpha1.GracefulEvictionTask) bool { return listed(after, t.FromCluster) })
	}
	taken := takenOver(subject, after, tasks)
	for _, cluster := range after {
		kept := leavingOf(tasks, cluster.Name)
		keeps := max(min(kept, subject.placed[cluster.Name]+kept-cluster.Replicas), 0)
		shrinks := max(subject.placed[cluster.Name]-cluster.Replicas-subject.stuck.leavesFrom(cluster.Name), 0)
		moves := min(shrinks, max(taken, 0))
		taken -= moves
		if moves > 0 || keeps != kept {
			tasks = s.retask(tasks, cluster.Name, keeps, moves)
		}
	}
	return tasks
}

// retask replaces the tasks of a member by one for what it keeps from before and
// what moves now.
func (s *Scheduler) retask(tasks []workv1alpha1.GracefulEvictionTask, member string, keeps, moves int32) []workv1alpha1.GracefulEvictionTask {
	of := func(t workv1alpha1.GracefulEvictionTask) bool {
		return t.FromCluster == member && t.Producer == component
	}
	task := newTask(member, keeps+moves)
	if before := slices.IndexFunc(tasks, of); before >= 0 {
		task.CreationTimestamp = tasks[before].CreationTimestamp
		if moves > 0 {
			// The server would keep the time of the earlier move.
			task.CreationTimestamp = new(metav1.NewTime(s.clock.Now().Truncate(time.Second)))
		}
	}
	tasks = slices.DeleteFunc(tasks, of)
	if keeps+moves > 0 {
		tasks = append(tasks, task)
	}
	return tasks
}

// takenOver is how many of the replicas that members of a decision lose others get,
// after those of the members that lose all of them.
func takenOver(subject *subject, after []workv1alpha1.TargetCluster, tasks []workv1alpha1.GracefulEvictionTask) (n int32) {
	for _, cluster := range after {
		n += max(cluster.Replicas-subject.placed[cluster.Name]-leavingOf(tasks, cluster.Name), 0)
	}
	for member, replicas := range subject.placed {
		if !listed(after, member) {
			n -= replicas
		}
	}
	return n - subject.stuck.leavingAll(after)
}

// leavingOf is how many replicas leave a member by tasks of this scheduler.
func leavingOf(tasks []workv1alpha1.GracefulEvictionTask, member string) (n int32) {
	for _, task := range tasks {
		if task.FromCluster == member && task.Producer == component && task.Replicas != nil {
			n += *task.Replicas
		}
	}
	return n
}

// replaces reports whether the members of after are to do what the others did.
// Replicas that are divided and go nowhere are simply fewer.
func replaces(before, after []workv1alpha1.TargetCluster) bool {
	divided := false
	for _, cluster := range after {
		i := slices.IndexFunc(before, func(old workv1alpha1.TargetCluster) bool { return old.Name == cluster.Name })
		if i < 0 || before[i].Replicas < cluster.Replicas {
			return true
		}
		divided = divided || before[i].Replicas > 0
	}
	return !divided
}

func listed(clusters []workv1alpha1.TargetCluster, name string) bool {
	return slices.ContainsFunc(clusters, func(c workv1alpha1.TargetCluster) bool { return c.Name == name })
}

// ended reports whether a member may go.
func (s *Scheduler) ended(subject *subject, task *workv1alpha1.GracefulEvictionTask, moved, stands bool) bool {
	if task.SuppressDeletion != nil {
		return !*task.SuppressDeletion
	}
	switch task.PurgeMode {
	case policyv1alpha1.PurgeNever:
		return false
	case policyv1alpha1.PurgeDirectly:
		return true
	default:
		return !moved && replaced(subject.binding) && s.answer(subject.binding) || stands && s.clock.Now().After(endOf(task)) && s.answer(subject.binding)
	}
}

// endOf is when a task ends at the latest. One that was not written yet has all
// its time before it.
func endOf(task *workv1alpha1.GracefulEvictionTask) time.Time {
	if task.CreationTimestamp == nil {
		return time.Unix(1<<40, 0)
	}
	return task.CreationTimestamp.Add(graceOf(task))
}

func graceOf(task *workv1alpha1.GracefulEvictionTask) time.Duration {
	if task.GracePeriodSeconds == nil {
		return evictionGrace
	}
	return time.Duration(*task.GracePeriodSeconds) * time.Second
}

// remindOf has the template decided about again when the next task ends.
func (s *Scheduler) remindOf(subject *subject, tasks []workv1alpha1.GracefulEvictionTask) {
	for _, task := range tasks {
		wait := graceOf(&task)
		if task.CreationTimestamp != nil {
			wait = max(endOf(&task).Sub(s.clock.Now()), 0)
		}
		if wait == 0 {
			wait = evictionRecheck
		}
		// The API keeps seconds only.
		s.queue.AddAfter(subject.key, wait+time.Second)
	}
}

// answer reports whether the members of a binding are there and ready, without
// which what they reported last means little.
func (s *Scheduler) answer(binding workv1alpha1.Binding) bool {
	members := s.cache.Members()
	return !slices.ContainsFunc(binding.GetSpec().Clusters, func(cluster workv1alpha1.TargetCluster) bool {
		member := find(members, cluster.Name)
		return member == nil || !member.Ready
	})
}

// replaced reports whether every member of a binding says that it runs what was
// decided last, and that it is healthy there.
func replaced(binding workv1alpha1.Binding) bool {
	spec, status := binding.GetSpec(), binding.GetStatus()
	return !slices.ContainsFunc(spec.Clusters, func(cluster workv1alpha1.TargetCluster) bool {
		return !slices.ContainsFunc(status.AggregatedStatus, func(item workv1alpha1.AggregatedStatusItem) bool {
			current := item.TemplateUID == spec.Resource.UID && item.BindingGeneration >= binding.GetGeneration()
			return item.ClusterName == cluster.Name && current && item.Applied && item.Health == workv1alpha1.ResourceHealthy
		})
	})
}

// evictable reports whether a binding has tasks that may end by what its members
// report.
func evictable(binding workv1alpha1.Binding) bool {
	return len(binding.GetSpec().GracefulEvictionTasks) > 0 && replaced(binding)
}

// evictionEvents are what may let a task end beside the reports of members.
func evictionEvents(d *decision) framework.Event {
	if left := d.left(); left != nil && len(left.GracefulEvictionTasks) > 0 {
		return framework.MemberReady
	}
	return 0
}
