// Command gen writes the Pulumi schema and the bridge's metadata of the mapped resources:
// `gen schema --out bridge --skip-docs --skip-examples`.
package main

import (
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfgen"

	"aether.dev/engine/github/bridge"
)

func main() {
	tfgen.Main("github", bridge.Version, bridge.Provider())
}
