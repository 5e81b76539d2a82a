package local

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// endTree ends a process and its descendants: SIGTERM, then SIGKILL for those that are left after the grace.
// They stay in the plugin's process group (no setpgid), because the engine kills that group when it is in a hurry.
func endTree(root int) {
	tree := descendants(root)
	for process := range tree {
		process.signal(syscall.SIGTERM)
	}
	deadline := time.Now().Add(grace)
	for time.Now().Before(deadline) {
		alive := false
		for process := range tree {
			alive = alive || process.alive()
		}
		if !alive {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	// Children of children that were started after the first look.
	for process := range tree {
		for late := range descendants(process.pid) {
			late.signal(syscall.SIGKILL)
		}
		process.signal(syscall.SIGKILL)
	}
}

// process is a process id with its start time, so that a reused id is never signalled.
type process struct {
	pid     int
	started string
}

func (p process) alive() bool {
	state, started, _ := status(p.pid)
	return started == p.started && state != "Z"
}

func (p process) signal(signal syscall.Signal) {
	if p.alive() {
		_ = syscall.Kill(p.pid, signal)
	}
}

func descendants(root int) map[process]bool {
	children := map[int][]int{}
	entries, _ := filepath.Glob("/proc/[0-9]*")
	for _, entry := range entries {
		if pid, err := strconv.Atoi(filepath.Base(entry)); err == nil {
			if _, _, parent := status(pid); parent != 0 {
				children[parent] = append(children[parent], pid)
			}
		}
	}
	tree := map[process]bool{}
	for queue := []int{root}; len(queue) > 0; queue = queue[1:] {
		if _, started, _ := status(queue[0]); started != "" {
			tree[process{queue[0], started}] = true
		}
		queue = append(queue, children[queue[0]]...)
	}
	return tree
}

// status reads state, start time and parent of a process (proc_pid_stat(5): fields 3, 22 and 4).
func status(pid int) (state, started string, parent int) {
	content, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return "", "", 0
	}
	_, rest, _ := strings.Cut(string(content[strings.LastIndexByte(string(content), ')'):]), " ")
	fields := strings.Fields(rest)
	if len(fields) < 20 {
		return "", "", 0
	}
	parent, _ = strconv.Atoi(fields[1])
	return fields[0], fields[19], parent
}
