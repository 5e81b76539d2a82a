// Command pulumi-resource-command stands in for the released command plugin, whose module is not published:
// the same resources and the same behaviour (docs/engine.md has it as a table).
package main

import (
	"context"
	"fmt"
	"os"

	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi-go-provider/infer"

	"aether.dev/engine/command/local"
	"aether.dev/engine/command/remote"
)

// version is that of the Python SDK (pulumi-command) whose requests this plugin answers.
const version = "1.2.1"

func main() {
	provider, err := infer.NewProviderBuilder().
		WithDisplayName("Command").
		WithDescription("Runs commands and copies files, locally or over SSH, as resources.").
		WithKeywords("command").
		WithLicense("MIT").
		WithResources(
			infer.Resource(&local.Command{}),
			infer.Resource(&remote.Command{}),
			infer.Resource(&remote.CopyToRemote{}),
			infer.Resource(&remote.CopyFile{}),
		).
		WithFunctions(infer.Function(&local.Run{})).
		Build()
	if err == nil {
		go local.EndWithEngine()
		err = p.RunProvider(context.Background(), "command", version, provider)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "pulumi-resource-command: %s\n", err)
		os.Exit(1)
	}
}
