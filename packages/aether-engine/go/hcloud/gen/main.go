// Command gen writes the Pulumi schema and the bridge's metadata of the mapped resources:
// `gen schema --out bridge --skip-docs --skip-examples`.
package main

import (
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/pf/tfgen"

	"aether.dev/engine/hcloud/bridge"
)

func main() {
	tfgen.MainWithMuxer("hcloud", bridge.Provider())
}
