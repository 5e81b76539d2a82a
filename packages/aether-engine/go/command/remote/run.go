package remote

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	p "github.com/pulumi/pulumi-go-provider"
	"golang.org/x/crypto/ssh"

	"aether.dev/engine/command/text"
)

// grace is how long a remote command has between SIGTERM and the end of its session when the engine cancels.
const grace = 5 * time.Second

const acceptEnvHint = "the SSH server accepts only the variables that its AcceptEnv names; " +
	"with a Bourne shell on the host, 'NAME=value command' works too"

// run executes one command line and fills in the results; a command that fails leaves them as they were.
func (state *CommandOutputs) run(ctx context.Context, line string) error {
	client, err := state.Connection.dial(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	session, err := client.NewSession()
	if err != nil {
		return fmt.Errorf("%s: %w", state.Connection.target(), err)
	}
	defer session.Close()
	if err := state.setEnvironment(ctx, session); err != nil {
		return err
	}
	if state.Stdin != nil && *state.Stdin != "" {
		session.Stdin = strings.NewReader(*state.Stdin)
	}
	capture := text.NewCapture(ctx, state.Logging.stdout(), state.Logging.stderr())
	session.Stdout, session.Stderr = capture.Stdout(), capture.Stderr()
	err = runUntilCancelled(ctx, client, session, line)
	capture.Finish()
	if err != nil {
		return fmt.Errorf("%w: running %q:\n%s", err, line, capture.Both())
	}
	state.Stdout, state.Stderr = capture.Results()
	return nil
}

// setEnvironment fails for a variable of the program that the server refuses; the previous output is offered only.
func (state *CommandOutputs) setEnvironment(ctx context.Context, session *ssh.Session) error {
	for _, name := range slices.Sorted(maps.Keys(state.Environment)) {
		if err := session.Setenv(name, state.Environment[name]); err != nil {
			return fmt.Errorf("could not set environment variable %q (%s): %w", name, acceptEnvHint, err)
		}
	}
	if state.AddPreviousOutputInEnv != nil && !*state.AddPreviousOutputInEnv {
		return nil
	}
	for name, value := range map[string]string{text.PreviousStdout: state.Stdout, text.PreviousStderr: state.Stderr} {
		if value == "" {
			continue
		}
		if err := session.Setenv(name, value); err != nil {
			p.GetLogger(ctx).Warningf("Unable to set %q: %s", name, acceptEnvHint)
		}
	}
	return nil
}

func runUntilCancelled(ctx context.Context, client *ssh.Client, session *ssh.Session, line string) error {
	if err := session.Start(line); err != nil {
		return err
	}
	finished := make(chan error, 1)
	go func() { finished <- session.Wait() }()
	select {
	case err := <-finished:
		return err
	case <-ctx.Done():
	}
	_ = session.Signal(ssh.SIGTERM)
	select {
	case <-finished:
	case <-time.After(grace):
		_ = client.Close()
		<-finished
	}
	return fmt.Errorf("cancelled: %w", ctx.Err())
}
