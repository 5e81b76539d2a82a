// Asks the library that rpm-ostree, bootc and podman verify images with whether a policy lets an image in.
//
//	policycheck POLICY.json REGISTRIES.D REGISTRY/NAME@sha256:…
//
// Exit code 0: it does; 1: it does not, with the reason.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/containers/image/v5/docker"
	"github.com/containers/image/v5/image"
	"github.com/containers/image/v5/signature"
	"github.com/containers/image/v5/types"
)

func main() {
	if err := check(context.Background(), os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func check(ctx context.Context, policyFile, registries, reference string) error {
	policy, err := signature.NewPolicyFromFile(policyFile)
	if err != nil {
		return err
	}
	rules, err := signature.NewPolicyContext(policy)
	if err != nil {
		return err
	}
	defer rules.Destroy()
	ref, err := docker.ParseReference("//" + reference)
	if err != nil {
		return err
	}
	system := &types.SystemContext{RegistriesDirPath: registries, DockerInsecureSkipTLSVerify: types.OptionalBoolTrue}
	source, err := ref.NewImageSource(ctx, system)
	if err != nil {
		return err
	}
	defer source.Close()
	_, err = rules.IsRunningImageAllowed(ctx, image.UnparsedInstance(source, nil))
	return err
}
