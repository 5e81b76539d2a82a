// Command pulumi-resource-proxmoxve serves the mapped part of the real bpg Proxmox provider to the Pulumi engine.
package main

import (
	"context"

	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/pf/tfbridge"

	"aether.dev/engine/proxmoxve/bridge"
)

func main() {
	tfbridge.MainWithMuxer(context.Background(), "proxmoxve", bridge.Provider(), bridge.Schema)
}
