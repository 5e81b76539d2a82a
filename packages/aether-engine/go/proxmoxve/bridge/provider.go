// Package bridge maps the resources that Aether uses of the bpg Proxmox provider to Pulumi tokens.
package bridge

import (
	"context"
	_ "embed" // schema.json and bridge-metadata.json

	"github.com/bpg/terraform-provider-proxmox/fwprovider"
	"github.com/bpg/terraform-provider-proxmox/proxmoxtf/provider"
	pfbridge "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/pf/tfbridge"
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge"
	shim "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfshim"
	shimv2 "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfshim/sdk-v2"
)

// Version is that of the Python SDK (pulumi-proxmoxve) whose requests this plugin answers.
const Version = "8.3.0"

// Schema is the Pulumi package schema that `gen` writes.
//
//go:embed schema.json
var Schema []byte

//go:embed bridge-metadata.json
var metadata []byte

// Provider maps both halves (plugin SDK and plugin framework) of the real provider.
func Provider() tfbridge.ProviderInfo {
	real := pfbridge.MuxShimWithPF(
		context.Background(),
		shimv2.NewProvider(provider.ProxmoxVirtualEnvironment()),
		fwprovider.New(Version)(),
	)
	info := tfbridge.ProviderInfo{
		P:            real,
		Name:         "proxmox",
		DisplayName:  "Proxmox Virtual Environment",
		Description:  "The part of the Proxmox VE provider that Aether uses.",
		Keywords:     []string{"proxmox", "proxmoxve"},
		License:      "Apache-2.0",
		GitHubOrg:    "bpg",
		Version:      Version,
		MetadataInfo: tfbridge.NewProviderMetadata(metadata),
		Resources:    map[string]*tfbridge.ResourceInfo{},
		DataSources:  map[string]*tfbridge.DataSourceInfo{},
		// What is not mapped is ignored by name: an upgrade of the provider adds nothing by itself.
		IgnoreMappings: unmapped(real),
	}
	for name, member := range resources {
		info.Resources[name] = &tfbridge.ResourceInfo{
			Tok: tfbridge.MakeResource("proxmoxve", member.module, member.name),
		}
	}
	for _, name := range idIsInput {
		info.Resources[name].Fields = map[string]*tfbridge.SchemaInfo{"id": {Name: "resourceId"}}
		info.Resources[name].ComputeID = tfbridge.DelegateIDField("resourceId", "proxmoxve", "https://github.com/muhlba91/pulumi-proxmoxve")
	}
	for name, member := range dataSources {
		info.DataSources[name] = &tfbridge.DataSourceInfo{
			Tok: tfbridge.MakeDataSource("proxmoxve", member.module, member.name),
		}
	}
	// As in the released plugin: physical names get a suffix of seven characters where the program gives none.
	info.SetAutonaming(255, "-")
	return info
}

func unmapped(real shim.Provider) []string {
	var names []string
	real.ResourcesMap().Range(func(name string, _ shim.Resource) bool {
		if _, ok := resources[name]; !ok {
			names = append(names, name)
		}
		return true
	})
	real.DataSourcesMap().Range(func(name string, _ shim.Resource) bool {
		if _, ok := dataSources[name]; !ok {
			names = append(names, name)
		}
		return true
	})
	return names
}
