package table

import (
	"context"
	"encoding/json"
	"maps"
	"slices"

	p "github.com/pulumi/pulumi-go-provider"
)

// configValues undoes the JSON that SDKs put around everything in a provider's configuration that is not a text.
func (made *provider) configValues(raw Values) Values {
	values := Values{}
	fields := made.Config()
	for name, value := range raw {
		field := fields[name]
		text, isText := value.(string)
		if field != nil && field.Kind != String && isText {
			var decoded any
			if json.Unmarshal([]byte(text), &decoded) == nil {
				value = decoded
			}
		}
		values[name] = value
	}
	return values
}

func (made *provider) checkConfig(_ context.Context, request p.CheckRequest) (p.CheckResponse, error) {
	raw, secrets := decode(request.Inputs)
	// Failures name the program's spelling; the inputs go on as they came.
	failures := checkFields(made.Config(), made.configValues(maps.Clone(raw)), "")
	failures = slices.DeleteFunc(failures, func(failure p.CheckFailure) bool { return failure.Property == "version" })
	for name, field := range made.Config() {
		secrets[name] = secrets[name] || field.Secret
	}
	return p.CheckResponse{Inputs: encode(raw, secrets), Failures: failures}, nil
}

// diffConfig never replaces a provider: that would replace every resource of it.
func (made *provider) diffConfig(_ context.Context, request p.DiffRequest) (p.DiffResponse, error) {
	old, _ := decode(request.OldInputs)
	in, _ := decode(request.Inputs)
	response := p.DiffResponse{DetailedDiff: map[string]p.PropertyDiff{}}
	names := maps.Clone(old)
	maps.Copy(names, in)
	for name := range names {
		if !same(nil, old[name], in[name]) {
			response.DetailedDiff[name] = p.PropertyDiff{Kind: kindOf(old[name], in[name], false), InputDiff: true}
		}
	}
	response.HasChanges = len(response.DetailedDiff) > 0
	return response, nil
}

func (made *provider) configure(ctx context.Context, request p.ConfigureRequest) error {
	raw, _ := decode(request.Args)
	if err := made.Configure(ctx, made.configValues(raw)); err != nil {
		return made.Explain(err)
	}
	return nil
}
