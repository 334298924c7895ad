// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package relief

// Member is a member that a workload may use.
type Member struct {
	// Stuck is how many of its replicas find no node there.
	Stuck int32
	// Room for more replicas. That of a member with stuck ones does not count.
	Room int32
}

// Leaving returns how many replicas leave each member: the stuck ones, in the order of
// the list, as far as the others have room for them after added more are placed.
func Leaving(members []Member, added int32) []int32 {
	free := -int64(max(added, 0))
	for _, m := range members {
		if m.Stuck == 0 {
			free += int64(max(m.Room, 0))
		}
	}
	leaving := make([]int32, len(members))
	for i, m := range members {
		leaving[i] = int32(max(min(int64(m.Stuck), free), 0))
		free -= int64(leaving[i])
	}
	return leaving
}
