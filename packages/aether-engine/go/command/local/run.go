package local

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"runtime"
	"strings"
	"time"

	"github.com/gobwas/glob"
	"github.com/pulumi/pulumi-go-provider/infer/types"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"

	"aether.dev/engine/command/text"
)

// run executes one command line and fills in the results; a command that fails leaves them as they were.
func run(ctx context.Context, line string, in Common, results *Results) error {
	args := interpreter(in)
	//nolint:gosec // running what the program says is what this plugin is for
	command := exec.Command(args[0], append(args[1:], line)...)
	if in.Dir != nil {
		command.Dir = *in.Dir
	} else {
		dir, err := os.Getwd()
		if err != nil {
			return err
		}
		command.Dir = dir
	}
	command.Env = environment(in, *results)
	if in.Stdin != nil && *in.Stdin != "" {
		command.Stdin = strings.NewReader(*in.Stdin)
	}
	capture := text.NewCapture(ctx, in.Logging.stdout(), in.Logging.stderr())
	command.Stdout, command.Stderr = capture.Stdout(), capture.Stderr()
	// A child in the background that keeps the pipes open must not hold up a cancelled run.
	command.WaitDelay = 0
	err := runUntilCancelled(ctx, command)
	capture.Finish()
	if err != nil {
		return fmt.Errorf("%w: running %q:\n%s", err, line, capture.Both())
	}
	if err := collect(command.Dir, in, results); err != nil {
		return err
	}
	results.Stdout, results.Stderr = capture.Results()
	return nil
}

func interpreter(in Common) []string {
	switch {
	case in.Interpreter != nil && len(*in.Interpreter) > 0:
		return append([]string{}, *in.Interpreter...)
	case runtime.GOOS == "windows":
		return []string{"cmd", "/C"}
	default:
		return []string{"/bin/sh", "-c"}
	}
}

// environment is that of the plugin, then the given variables, then the previous output: the last one wins.
func environment(in Common, previous Results) []string {
	variables := os.Environ()
	if in.Environment != nil {
		for name, value := range *in.Environment {
			variables = append(variables, name+"="+value)
		}
	}
	if in.AddPreviousOutputInEnv != nil && !*in.AddPreviousOutputInEnv {
		return variables
	}
	if previous.Stdout != "" {
		variables = append(variables, text.PreviousStdout+"="+previous.Stdout)
	}
	if previous.Stderr != "" {
		variables = append(variables, text.PreviousStderr+"="+previous.Stderr)
	}
	return variables
}

// runUntilCancelled ends the command and its descendants when the engine cancels the operation.
func runUntilCancelled(ctx context.Context, command *exec.Cmd) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := command.Start(); err != nil {
		return err
	}
	finished := make(chan error, 1)
	go func() { finished <- command.Wait() }()
	done := track(command.Process.Pid)
	defer done()
	select {
	case err := <-finished:
		return err
	case <-ctx.Done():
	}
	endTree(command.Process.Pid)
	// Wait returns when the pipes are closed too; a child that escaped may hold them.
	select {
	case <-finished:
	case <-time.After(time.Second):
	}
	return fmt.Errorf("cancelled: %w", ctx.Err())
}

func collect(dir string, in Common, results *Results) error {
	if in.AssetPaths != nil {
		found, err := matching(dir, *in.AssetPaths)
		if err != nil {
			return err
		}
		assets := map[string]*types.AssetOrArchive{}
		for name, asset := range found {
			assets[name] = &types.AssetOrArchive{Asset: asset}
		}
		results.Assets = &assets
	}
	if in.ArchivePaths != nil {
		found, err := matching(dir, *in.ArchivePaths)
		if err != nil {
			return err
		}
		members := map[string]any{}
		for name, asset := range found {
			members[name] = asset
		}
		results.Archive, err = resource.NewAssetArchive(members)
		if err != nil {
			return err
		}
	}
	return nil
}

// matching finds files by patterns that apply in order; one with "!" in front takes files away again.
func matching(dir string, patterns []string) (map[string]*resource.Asset, error) {
	globs := make([]glob.Glob, len(patterns))
	for i, pattern := range patterns {
		compiled, err := glob.Compile(strings.TrimPrefix(pattern, "!"), '/')
		if err != nil {
			return nil, fmt.Errorf("pattern %q: %w", pattern, err)
		}
		globs[i] = compiled
	}
	found := map[string]*resource.Asset{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		chosen := false
		for i, pattern := range patterns {
			if globs[i].Match(name) {
				chosen = !strings.HasPrefix(pattern, "!")
			}
		}
		if chosen {
			found[name], err = resource.NewPathAsset(path.Join(dir, name))
		}
		return err
	})
	return found, err
}
