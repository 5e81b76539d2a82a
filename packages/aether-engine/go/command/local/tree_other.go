//go:build !linux

package local

import "os"

// endTree ends the process alone: only Linux has a /proc to find its descendants in.
func endTree(root int) {
	if process, err := os.FindProcess(root); err == nil {
		_ = process.Kill()
	}
}
