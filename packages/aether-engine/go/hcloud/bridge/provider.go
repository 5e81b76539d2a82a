// Package bridge maps the resources that Aether uses of the Hetzner Cloud provider to Pulumi tokens.
package bridge

import (
	"context"
	_ "embed" // schema.json and bridge-metadata.json

	"github.com/hetznercloud/terraform-provider-hcloud/hcloud"
	pfbridge "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/pf/tfbridge"
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge"
	shim "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfshim"
	shimv2 "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfshim/sdk-v2"
)

// Version is that of the Python SDK (pulumi-hcloud) whose requests this plugin answers.
const Version = "1.32.2"

// Schema is the Pulumi package schema that `gen` writes.
//
//go:embed schema.json
var Schema []byte

//go:embed bridge-metadata.json
var metadata []byte

// Provider maps both halves (plugin SDK and plugin framework) of the real provider.
func Provider() tfbridge.ProviderInfo {
	real := pfbridge.MuxShimWithPF(context.Background(), shimv2.NewProvider(hcloud.Provider()), hcloud.NewPluginProvider())
	info := tfbridge.ProviderInfo{
		P:            real,
		Name:         "hcloud",
		DisplayName:  "Hetzner Cloud",
		Description:  "The part of the Hetzner Cloud provider that Aether uses.",
		Keywords:     []string{"hcloud"},
		License:      "Apache-2.0",
		GitHubOrg:    "hetznercloud",
		Version:      Version,
		MetadataInfo: tfbridge.NewProviderMetadata(metadata),
		Resources:    map[string]*tfbridge.ResourceInfo{},
		DataSources:  map[string]*tfbridge.DataSourceInfo{},
		// What is not mapped is ignored by name: an upgrade of the provider adds nothing by itself.
		IgnoreMappings: unmapped(real),
	}
	for name, token := range resources {
		info.Resources[name] = &tfbridge.ResourceInfo{Tok: tfbridge.MakeResource("hcloud", "index", token)}
		// As in the released plugin: Pulumi's ids are strings, and some of the provider's are numbers.
		if id, ok := real.ResourcesMap().Get(name).Schema().GetOk("id"); ok && id.Type() != shim.TypeString {
			info.Resources[name].Fields = map[string]*tfbridge.SchemaInfo{"id": {Type: "string"}}
		}
	}
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
		names = append(names, name)
		return true
	})
	return names
}
