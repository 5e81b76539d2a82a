package local

import (
	"os"
	"sync"
	"time"
)

// grace is how long a command has between SIGTERM and SIGKILL when the engine cancels.
const grace = 5 * time.Second

var running = struct {
	sync.Mutex
	pids map[int]bool
}{pids: map[int]bool{}}

func track(pid int) (done func()) {
	running.Lock()
	defer running.Unlock()
	running.pids[pid] = true
	return func() {
		running.Lock()
		defer running.Unlock()
		delete(running.pids, pid)
	}
}

// EndWithEngine waits until the engine that started this plugin is gone (killed, crashed), then ends the
// commands that it left running and the plugin itself: nobody is there any more to record their results.
func EndWithEngine() {
	engine := os.Getppid()
	for os.Getppid() == engine {
		time.Sleep(500 * time.Millisecond)
	}
	running.Lock()
	pids := make([]int, 0, len(running.pids))
	for pid := range running.pids {
		pids = append(pids, pid)
	}
	running.Unlock()
	var ends sync.WaitGroup
	for _, pid := range pids {
		ends.Go(func() { endTree(pid) })
	}
	ends.Wait()
	os.Exit(1)
}
