package table

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	p "github.com/pulumi/pulumi-go-provider"
	presource "github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// settle is how long a created resource may take to be seen by reads.
const settle = 2 * time.Minute

type provider struct {
	Service
	name, version string
	resources     map[string]*Resource
	functions     map[string]*Function
}

// Provider makes the service a Pulumi provider.
func Provider(name, version string, service Service) p.Provider {
	made := &provider{service, name, version, map[string]*Resource{}, map[string]*Function{}}
	for _, resource := range service.Resources() {
		made.resources[name+":"+resource.Token] = resource
	}
	for _, function := range service.Functions() {
		made.functions[name+":"+function.Token] = function
	}
	return p.Provider{
		GetSchema:   made.schema,
		CheckConfig: made.checkConfig,
		DiffConfig:  made.diffConfig,
		Configure:   made.configure,
		Invoke:      made.invoke,
		Check:       made.check,
		Diff:        made.diff,
		Create:      made.create,
		Read:        made.read,
		Update:      made.update,
		Delete:      made.delete,
		Cancel:      func(context.Context) error { return nil },
	}
}

func (made *provider) resource(urn presource.URN) (*Resource, error) {
	if found := made.resources[string(urn.Type())]; found != nil {
		return found, nil
	}
	return nil, fmt.Errorf("the fake for the %s plugin has no resource %s (engine/go/%s)", made.name, urn.Type(), made.name)
}

func (made *provider) check(_ context.Context, request p.CheckRequest) (p.CheckResponse, error) {
	resource, err := made.resource(request.Urn)
	if err != nil {
		return p.CheckResponse{}, err
	}
	old, _ := decode(request.State)
	in, secrets := decode(request.Inputs)
	failures := resource.check(request.Urn, old, in, request.RandomSeed, made.DefaultTags())
	return p.CheckResponse{Inputs: encode(in, resource.secrets(secrets)), Failures: failures}, nil
}

func (made *provider) diff(_ context.Context, request p.DiffRequest) (p.DiffResponse, error) {
	resource, err := made.resource(request.Urn)
	if err != nil {
		return p.DiffResponse{}, err
	}
	old, _ := decode(request.OldInputs)
	state, _ := decode(request.State)
	in, _ := decode(request.Inputs)
	return resource.diff(old, state, in, request.IgnoreChanges), nil
}

func (made *provider) create(ctx context.Context, request p.CreateRequest) (p.CreateResponse, error) {
	resource, err := made.resource(request.Urn)
	if err != nil {
		return p.CreateResponse{}, err
	}
	in, secrets := decode(request.Properties)
	secrets = resource.secrets(secrets)
	if request.DryRun {
		return p.CreateResponse{Properties: encode(resource.planned(in), secrets)}, nil
	}
	call := &Call{Context: ctx, In: in, Old: Values{}, OldIn: Values{}}
	id, err := resource.Create(call)
	if err != nil && id == "" {
		return p.CreateResponse{}, made.failed("creating", request.Urn, err)
	}
	call.ID = id
	state, readErr := resource.settled(call)
	// Something exists: the engine must know its id even where a later step failed.
	if err = errors.Join(err, readErr); err != nil {
		failed := made.failed("creating", request.Urn, err)
		return p.CreateResponse{
			ID: id, Properties: encode(merged(in, state), secrets),
			PartialState: &p.InitializationFailed{Reasons: []string{failed.Error()}},
		}, failed
	}
	return p.CreateResponse{ID: id, Properties: encode(merged(in, state), secrets)}, nil
}

func (made *provider) read(ctx context.Context, request p.ReadRequest) (p.ReadResponse, error) {
	resource, err := made.resource(request.Urn)
	if err != nil {
		return p.ReadResponse{}, err
	}
	old, stateSecrets := decode(request.Properties)
	oldIn, inSecrets := decode(request.Inputs)
	state, err := resource.Read(&Call{Context: ctx, ID: request.ID, In: oldIn, Old: old, OldIn: oldIn})
	if err != nil {
		return p.ReadResponse{}, made.failed("reading", request.Urn, err)
	}
	if state == nil {
		return p.ReadResponse{}, nil
	}
	in := resource.refreshed(oldIn, state, made.DefaultTags())
	maps.Copy(stateSecrets, inSecrets)
	return p.ReadResponse{
		ID:         request.ID,
		Properties: encode(merged(in, state), resource.secrets(stateSecrets)),
		Inputs:     encode(in, resource.secrets(inSecrets)),
	}, nil
}

func (made *provider) update(ctx context.Context, request p.UpdateRequest) (p.UpdateResponse, error) {
	resource, err := made.resource(request.Urn)
	if err != nil {
		return p.UpdateResponse{}, err
	}
	in, secrets := decode(request.Inputs)
	old, stateSecrets := decode(request.State)
	oldIn, _ := decode(request.OldInputs)
	maps.Copy(secrets, stateSecrets)
	secrets = resource.secrets(secrets)
	if request.DryRun {
		return p.UpdateResponse{Properties: encode(resource.updated(old, oldIn, in), secrets)}, nil
	}
	call := &Call{Context: ctx, ID: request.ID, In: in, Old: old, OldIn: oldIn}
	if resource.Update == nil {
		return p.UpdateResponse{}, made.failed("updating", request.Urn, errors.New("it has nothing that can be updated"))
	}
	if err := resource.Update(call); err != nil {
		return p.UpdateResponse{}, made.failed("updating", request.Urn, err)
	}
	state, err := resource.settled(call)
	if err != nil {
		return p.UpdateResponse{}, made.failed("updating", request.Urn, err)
	}
	return p.UpdateResponse{Properties: encode(merged(in, state), secrets)}, nil
}

func (made *provider) delete(ctx context.Context, request p.DeleteRequest) error {
	resource, err := made.resource(request.Urn)
	if err != nil {
		return err
	}
	old, _ := decode(request.Properties)
	oldIn, _ := decode(request.OldInputs)
	if err := resource.Delete(&Call{Context: ctx, ID: request.ID, In: oldIn, Old: old, OldIn: oldIn}); err != nil {
		return made.failed("deleting", request.Urn, err)
	}
	return nil
}

func (made *provider) invoke(ctx context.Context, request p.InvokeRequest) (p.InvokeResponse, error) {
	function := made.functions[string(request.Token)]
	if function == nil {
		return p.InvokeResponse{}, fmt.Errorf(
			"the fake for the %s plugin has no function %s (engine/go/%s)", made.name, request.Token, made.name)
	}
	in, _ := decode(request.Args)
	if failures := checkFields(function.Inputs, in, ""); failures != nil {
		return p.InvokeResponse{Failures: failures}, nil
	}
	out, err := function.Call(ctx, in)
	if err != nil {
		return p.InvokeResponse{}, fmt.Errorf("%s: %w", request.Token, made.Explain(err))
	}
	secrets := map[string]bool{}
	for name, field := range function.Outputs {
		secrets[name] = field.Secret
	}
	return p.InvokeResponse{Return: encode(merged(in, out), secrets)}, nil
}

func (made *provider) failed(what string, urn presource.URN, err error) error {
	kind := string(urn.Type())
	return fmt.Errorf("%s %s %q: %w", what, kind[strings.LastIndexByte(kind, ':')+1:], urn.Name(), made.Explain(err))
}

// planned is what a preview of a creation knows: the inputs, and that the service will add the rest.
func (r *Resource) planned(in Values) Values {
	state := maps.Clone(in)
	for name, field := range r.fields() {
		if state[name] == nil && (field.Output || field.Computed) {
			state[name] = Unknown{}
		}
	}
	return state
}

// updated is what a preview of an update knows.
func (r *Resource) updated(old, oldIn, in Values) Values {
	state := merged(old, in)
	for name, outputs := range r.Follows {
		if same(r.Fields[name], oldIn[name], in[name]) {
			continue
		}
		for _, output := range outputs {
			if in[output] == nil {
				state[output] = Unknown{}
			}
		}
	}
	return state
}

// settled reads until the resource is there: AWS shows new resources to some of its servers first.
func (r *Resource) settled(call *Call) (Values, error) {
	deadline := time.Now().Add(settle)
	for delay := 100 * time.Millisecond; ; delay = min(delay*2, 5*time.Second) {
		state, err := r.Read(call)
		if err != nil || state != nil {
			return state, err
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("%s was made but cannot be read after %s", call.ID, settle)
		}
		select {
		case <-call.Done():
			return nil, call.Err()
		case <-time.After(delay):
		}
	}
}

// merged overlays values; nil takes a value away.
func merged(below, above Values) Values {
	values := maps.Clone(below)
	if values == nil {
		values = Values{}
	}
	for name, value := range above {
		if value == nil {
			delete(values, name)
		} else {
			values[name] = value
		}
	}
	return values
}

func (r *Resource) secrets(known map[string]bool) map[string]bool {
	secrets := maps.Clone(known)
	for name, field := range r.Fields {
		if field.Secret {
			secrets[name] = true
		}
	}
	return secrets
}
