// Command pulumi-resource-github serves the mapped part of the real GitHub provider to the Pulumi engine.
package main

import (
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge"

	"aether.dev/engine/github/bridge"
)

func main() {
	tfbridge.Main("github", bridge.Version, bridge.Provider(), bridge.Schema)
}
