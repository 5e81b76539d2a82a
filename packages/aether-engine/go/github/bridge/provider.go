// Package bridge maps the resources that Aether uses of the GitHub provider to Pulumi tokens.
package bridge

import (
	_ "embed" // schema.json and bridge-metadata.json

	"github.com/integrations/terraform-provider-github/v6/github"
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge"
	shim "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfshim"
	shimv2 "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfshim/sdk-v2"
)

// Version is that of the Python SDK (pulumi-github) whose requests this plugin answers.
const Version = "6.12.2"

// Schema is the Pulumi package schema that `gen` writes.
//
//go:embed schema.json
var Schema []byte

//go:embed bridge-metadata.json
var metadata []byte

// Provider maps the real provider; options that change behaviour are those of the released plugin.
func Provider() tfbridge.ProviderInfo {
	real := shimv2.NewProvider(github.Provider())
	info := tfbridge.ProviderInfo{
		P:                       real,
		Name:                    "github",
		Description:             "The part of the GitHub provider that Aether uses.",
		Keywords:                []string{"github"},
		License:                 "Apache-2.0",
		GitHubOrg:               "integrations",
		TFProviderModuleVersion: "v6",
		Version:                 Version,
		MetadataInfo:            tfbridge.NewProviderMetadata(metadata),
		Config: map[string]*tfbridge.SchemaInfo{
			"base_url": {Default: &tfbridge.DefaultInfo{
				EnvVars: []string{"GITHUB_BASE_URL"},
				Value:   "https://api.github.com/",
			}},
			"token": {
				Default: &tfbridge.DefaultInfo{EnvVars: []string{"GITHUB_TOKEN"}},
				Secret:  tfbridge.True(),
			},
		},
		Resources:   map[string]*tfbridge.ResourceInfo{},
		DataSources: map[string]*tfbridge.DataSourceInfo{},
		// What is not mapped is ignored by name: an upgrade of the provider adds nothing by itself.
		IgnoreMappings:                 unmapped(real),
		EnableZeroDefaultSchemaVersion: true,
		EnableAccurateBridgePreview:    true,
		EnableRawStateDelta:            true,
	}
	for name, token := range resources {
		info.Resources[name] = &tfbridge.ResourceInfo{
			Tok:                 tfbridge.MakeResource("github", "index", token),
			DeleteBeforeReplace: deletedBeforeReplace[name],
		}
	}
	for name, token := range dataSources {
		info.DataSources[name] = &tfbridge.DataSourceInfo{
			Tok: tfbridge.MakeDataSource("github", "index", token),
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
