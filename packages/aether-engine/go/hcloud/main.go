// Command pulumi-resource-hcloud serves the mapped part of the real Hetzner Cloud provider to the Pulumi engine.
package main

import (
	"context"

	pfbridge "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/pf/tfbridge"

	"aether.dev/engine/hcloud/bridge"
)

func main() {
	pfbridge.MainWithMuxer(context.Background(), "hcloud", bridge.Provider(), bridge.Schema)
}
