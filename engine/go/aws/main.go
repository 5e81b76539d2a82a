// Command pulumi-resource-aws stands in for the released AWS plugin, which is too large to build: the resources
// that a small public gateway needs, against the real API or one that speaks like it (docs/engine.md).
package main

import (
	"context"
	"fmt"
	"os"

	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi-go-provider/middleware/cancel"

	"aether.dev/engine/aws/service"
	"aether.dev/engine/aws/table"
)

// version is that of the Python SDK (pulumi-aws) whose requests this plugin answers.
const version = "7.51.1"

func main() {
	provider := cancel.Wrap(table.Provider("aws", version, service.New()))
	if err := p.RunProvider(context.Background(), "aws", version, provider); err != nil {
		fmt.Fprintf(os.Stderr, "pulumi-resource-aws: %s\n", err)
		os.Exit(1)
	}
}
