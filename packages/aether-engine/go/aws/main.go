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

func main() {
	provider := cancel.Wrap(table.Provider("aws", service.Released, service.New()))
	if err := p.RunProvider(context.Background(), "aws", service.Released, provider); err != nil {
		fmt.Fprintf(os.Stderr, "pulumi-resource-aws: %s\n", err)
		os.Exit(1)
	}
}
