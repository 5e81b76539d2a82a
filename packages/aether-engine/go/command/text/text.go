// Package text holds what local and remote commands share: captured output, and its way into the engine's display.
package text

import (
	"bytes"
	"context"
	"io"
	"strings"
	"sync"

	p "github.com/pulumi/pulumi-go-provider"
)

// Names of the variables that hold the output of the previous run.
const (
	PreviousStdout = "PULUMI_COMMAND_STDOUT"
	PreviousStderr = "PULUMI_COMMAND_STDERR"
)

// longestLine is where a line that does not end is shown anyway, so that a binary stream cannot fill the memory.
const longestLine = 64 << 10

// Capture keeps a command's output: each stream alone, both in order of arrival for messages, and
// line by line in the engine's display for the streams that are logged.
type Capture struct {
	mutex       sync.Mutex
	ctx         context.Context
	both        bytes.Buffer
	out, errout stream
}

type stream struct {
	capture *Capture
	logged  bool
	kept    bytes.Buffer
	line    bytes.Buffer
}

// NewCapture logs the streams that are asked for while the command runs.
func NewCapture(ctx context.Context, logStdout, logStderr bool) *Capture {
	capture := &Capture{ctx: ctx}
	capture.out = stream{capture: capture, logged: logStdout}
	capture.errout = stream{capture: capture, logged: logStderr}
	return capture
}

// Stdout and Stderr are safe to write to at the same time.
func (c *Capture) Stdout() io.Writer { return &c.out }

// Stderr is the other stream.
func (c *Capture) Stderr() io.Writer { return &c.errout }

// Write implements io.Writer and never fails.
func (s *stream) Write(data []byte) (int, error) {
	s.capture.mutex.Lock()
	defer s.capture.mutex.Unlock()
	s.kept.Write(data)
	s.capture.both.Write(data)
	if !s.logged {
		return len(data), nil
	}
	for _, b := range data {
		if b != '\n' {
			s.line.WriteByte(b)
		}
		if b == '\n' || s.line.Len() >= longestLine {
			s.show()
		}
	}
	return len(data), nil
}

func (s *stream) show() {
	p.GetLogger(s.capture.ctx).InfoStatus(strings.TrimSuffix(s.line.String(), "\r"))
	s.line.Reset()
}

// Finish shows what is left of lines without an end.
func (c *Capture) Finish() {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	for _, s := range []*stream{&c.out, &c.errout} {
		if s.line.Len() > 0 {
			s.show()
		}
	}
}

// Results are the two streams, each without its last newline.
func (c *Capture) Results() (stdout, stderr string) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return strings.TrimSuffix(c.out.kept.String(), "\n"), strings.TrimSuffix(c.errout.kept.String(), "\n")
}

// Both is everything that was written, in order of arrival.
func (c *Capture) Both() string {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.both.String()
}
