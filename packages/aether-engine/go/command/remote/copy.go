package remote

import (
	"context"
	"fmt"

	"github.com/pkg/sftp"
	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi-go-provider/infer"
	"github.com/pulumi/pulumi-go-provider/infer/types"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// CopyToRemote puts a file, a text or a folder on a host by SFTP; deleting the resource leaves it there.
type CopyToRemote struct{}

// CopyToRemoteInputs are the arguments of CopyToRemote.
type CopyToRemoteInputs struct {
	Connection *Connection          `pulumi:"connection" provider:"secret"`
	Triggers   *[]any               `pulumi:"triggers,optional" provider:"replaceOnChanges"`
	Source     types.AssetOrArchive `pulumi:"source"`
	RemotePath string               `pulumi:"remotePath"`
}

// CopyToRemoteOutputs are the state of CopyToRemote.
type CopyToRemoteOutputs struct{ CopyToRemoteInputs }

// Check refuses sources that SFTP cannot send as they are.
func (*CopyToRemote) Check(
	ctx context.Context, request infer.CheckRequest,
) (infer.CheckResponse[CopyToRemoteInputs], error) {
	inputs, failures, err := infer.DefaultCheck[CopyToRemoteInputs](ctx, request.NewInputs)
	asset, archive := inputs.Source.Asset, inputs.Source.Archive
	refuse := func(property, reason string) {
		failures = append(failures, p.CheckFailure{Property: property, Reason: reason})
	}
	switch {
	case err != nil:
	case asset != nil && archive != nil:
		refuse("asset", "only one of asset or archive can be set")
	case asset == nil && archive == nil:
		refuse("asset", "either asset or archive must be set")
	case asset != nil && !asset.IsPath() && !asset.IsText():
		refuse("asset", "asset must be a path-based file asset or a text asset")
	case archive != nil && !archive.IsPath():
		refuse("archive", "archive must be a path to a file or directory")
	}
	return infer.CheckResponse[CopyToRemoteInputs]{Inputs: inputs, Failures: failures}, err
}

// Create copies.
func (*CopyToRemote) Create(
	ctx context.Context, request infer.CreateRequest[CopyToRemoteInputs],
) (infer.CreateResponse[CopyToRemoteOutputs], error) {
	output := CopyToRemoteOutputs{request.Inputs}
	if request.DryRun {
		return infer.CreateResponse[CopyToRemoteOutputs]{Output: output}, nil
	}
	if err := request.Inputs.copy(ctx); err != nil {
		return infer.CreateResponse[CopyToRemoteOutputs]{Output: output}, err
	}
	id, err := resource.NewUniqueHex("", 8, 0)
	return infer.CreateResponse[CopyToRemoteOutputs]{ID: id, Output: output}, err
}

// Update copies again where the content or the path is another; a new connection alone copies nothing.
func (*CopyToRemote) Update(
	ctx context.Context, request infer.UpdateRequest[CopyToRemoteInputs, CopyToRemoteOutputs],
) (infer.UpdateResponse[CopyToRemoteOutputs], error) {
	before, after := request.State.CopyToRemoteInputs, request.Inputs
	var err error
	if !request.DryRun && (before.hash() != after.hash() || before.RemotePath != after.RemotePath) {
		err = after.copy(ctx)
	}
	return infer.UpdateResponse[CopyToRemoteOutputs]{Output: CopyToRemoteOutputs{after}}, err
}

func (in *CopyToRemoteInputs) hash() string {
	switch {
	case in.Source.Archive != nil:
		return in.Source.Archive.Hash
	case in.Source.Asset != nil:
		return in.Source.Asset.Hash
	default:
		return ""
	}
}

func (in *CopyToRemoteInputs) copy(ctx context.Context) error {
	return in.Connection.withFiles(ctx, func(files *sftp.Client) error {
		switch asset := in.Source.Asset; {
		case asset == nil:
			return sendPath(files, in.Source.Archive.Path, in.RemotePath)
		case asset.IsText():
			return sendText(files, asset.Text, in.RemotePath)
		default:
			return sendPath(files, asset.Path, in.RemotePath)
		}
	})
}

// CopyFile is the older resource: one file to a path whose folder exists; every change replaces it.
type CopyFile struct{}

// Annotate marks it as deprecated, as the SDK does.
func (c *CopyFile) Annotate(a infer.Annotator) {
	a.Deprecate(&c, "This resource is deprecated and will be removed in a future release. "+
		"Please use the `CopyToRemote` resource instead.")
}

// CopyFileInputs are the arguments of CopyFile.
type CopyFileInputs struct {
	Connection *Connection `pulumi:"connection" provider:"secret"`
	Triggers   *[]any      `pulumi:"triggers,optional"`
	LocalPath  string      `pulumi:"localPath"`
	RemotePath string      `pulumi:"remotePath"`
}

// CopyFileOutputs are the state of CopyFile.
type CopyFileOutputs struct{ CopyFileInputs }

// Create copies.
func (*CopyFile) Create(
	ctx context.Context, request infer.CreateRequest[CopyFileInputs],
) (infer.CreateResponse[CopyFileOutputs], error) {
	output := CopyFileOutputs{request.Inputs}
	if request.DryRun {
		return infer.CreateResponse[CopyFileOutputs]{Output: output}, nil
	}
	err := request.Inputs.Connection.withFiles(ctx, func(files *sftp.Client) error {
		return sendFile(files, request.Inputs.LocalPath, request.Inputs.RemotePath)
	})
	if err != nil {
		return infer.CreateResponse[CopyFileOutputs]{Output: output}, err
	}
	id, err := resource.NewUniqueHex("", 8, 0)
	return infer.CreateResponse[CopyFileOutputs]{ID: id, Output: output}, err
}

func (c *Connection) withFiles(ctx context.Context, use func(*sftp.Client) error) error {
	client, err := c.dial(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	stop := context.AfterFunc(ctx, func() { _ = client.Close() })
	defer stop()
	files, err := sftp.NewClient(client, sftp.UseConcurrentWrites(true))
	if err == nil {
		defer files.Close()
		err = use(files)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", c.target(), err)
	}
	return nil
}
