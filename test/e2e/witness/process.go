// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package witness

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// clockTick is the unit of times in /proc: USER_HZ, 100 on every Linux that Go
// runs on.
const clockTick = time.Second / 100

// CPUTime is the processor time, user and system, a process has used.
func CPUTime(pid int) (time.Duration, error) {
	raw, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, fmt.Errorf("read processor time of process %d: %w", pid, err)
	}
	return parseCPUTime(string(raw))
}

// parseCPUTime parses a line of proc_pid_stat(5): utime and stime are fields 14
// and 15, counted from 1; the second may hold spaces and ends in a parenthesis.
func parseCPUTime(line string) (time.Duration, error) {
	const firstField, utime, stime = 3, 14, 15
	fields := strings.Fields(line[strings.LastIndexByte(line, ')')+1:])
	if len(fields) <= stime-firstField {
		return 0, fmt.Errorf("parse process status %q: too few fields", line)
	}
	var ticks int64
	for _, field := range []int{utime, stime} {
		n, err := strconv.ParseInt(fields[field-firstField], 10, 64)
		if err != nil {
			return 0, fmt.Errorf("parse process status %q: %w", line, err)
		}
		ticks += n
	}
	return time.Duration(ticks) * clockTick, nil
}
