// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package testbed

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// identity names one process for good: the kernel may give its pid to another
// process later, but not with the same start time in the same boot.
type identity struct {
	PID int `json:"pid"`
	// Started is in clock ticks since boot, field 22 of /proc/<pid>/stat.
	Started uint64 `json:"started"`
	// Boot is the kernel's boot id.
	Boot string `json:"boot"`
}

const bootIDFile = "/proc/sys/kernel/random/boot_id"

// identify reads the identity of a running process.
func identify(pid int) (identity, error) {
	stat, err := readStat(pid)
	if err != nil {
		return identity{}, fmt.Errorf("identify process %d: %w", pid, err)
	}
	boot, err := os.ReadFile(bootIDFile)
	if err != nil {
		return identity{}, fmt.Errorf("identify process %d: %w", pid, err)
	}
	return identity{PID: pid, Started: stat.started, Boot: strings.TrimSpace(string(boot))}, nil
}

// alive tells whether the process still runs. One that ended and was not yet
// waited for does not, once all its threads are gone: until then it holds its ports.
func (id identity) alive() bool {
	if id.PID == 0 {
		return false
	}
	current, err := identify(id.PID)
	if err != nil || current != id {
		return false
	}
	stat, err := readStat(id.PID)
	return err == nil && (stat.state != zombie || stat.threads > 1)
}

// procStat is the part of /proc/<pid>/stat that matters here.
type procStat struct {
	state   byte
	threads int
	started uint64
}

// zombie is the state of a process whose parent has not waited for it.
const zombie = 'Z'

func readStat(pid int) (procStat, error) {
	raw, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return procStat{}, err
	}
	return parseStat(string(raw))
}

// parseStat parses a line of proc_pid_stat(5). The second field, the program's
// name in parentheses, may itself hold spaces and parentheses.
func parseStat(line string) (procStat, error) {
	end := strings.LastIndexByte(line, ')')
	fields := strings.Fields(line[end+1:])
	// Fields are numbered from 1 in the manual; the state is the third.
	const threadsField, startedField = 20 - 3, 22 - 3
	if end < 0 || len(fields) <= startedField {
		return procStat{}, fmt.Errorf("parse process status %q: too few fields", line)
	}
	threads, err := strconv.Atoi(fields[threadsField])
	if err != nil {
		return procStat{}, fmt.Errorf("parse process status %q: %w", line, err)
	}
	started, err := strconv.ParseUint(fields[startedField], 10, 64)
	if err != nil {
		return procStat{}, fmt.Errorf("parse process status %q: %w", line, err)
	}
	return procStat{state: fields[0][0], threads: threads, started: started}, nil
}

// residentBytes reads the resident set size of a process.
func residentBytes(pid int) (int64, error) {
	raw, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/statm")
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(raw))
	if len(fields) < 2 {
		return 0, fmt.Errorf("parse memory of process %d: %q", pid, raw)
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize()), err
}
