// Package table turns descriptions of resources (fields and four calls) into a Pulumi provider: checks, defaults,
// names, differences, replacement, refresh and schema follow from the fields.
package table

import "context"

// Kind is the type of a field.
type Kind int

// The kinds that AWS resources need.
const (
	String Kind = iota
	Bool
	Int
	Number
	Map     // of strings
	Strings // list of strings
	Object
	Objects // list of objects
)

// Field describes one property of a resource or function.
type Field struct {
	Kind     Kind
	Required bool
	// Output fields are never given by the program.
	Output bool
	// Computed fields can be given; where they are not, the service chooses.
	Computed bool
	// Replace: another value needs another resource.
	Replace bool
	Secret  bool
	// Set lists have no order.
	Set     bool
	Default any
	// Elem are the fields of objects; Type is the name of their type in the SDK (module/Name).
	Elem Fields
	Type string
	// Same recognises two spellings of one value; plain equality where it is nil.
	Same func(a, b any) bool
}

// Fields are a resource's properties by name.
type Fields map[string]*Field

// Call is one operation on one resource.
type Call struct {
	context.Context
	ID string
	// In are the inputs; Old the state before (empty at creation), OldIn its inputs.
	In, Old, OldIn Values
}

// Changed says whether any of these inputs differs from the one before; all do at creation.
func (c *Call) Changed(resource *Resource, names ...string) bool {
	for _, name := range names {
		if !same(resource.Fields[name], c.OldIn[name], c.In[name]) {
			return true
		}
	}
	return false
}

// Resource describes a resource: its token in short (ec2/vpc:Vpc), its fields, its calls.
type Resource struct {
	Token  string
	Fields Fields
	// Name is the field that gets a name with a random end where the program gives none.
	Name string
	// Tagged resources have tags, and tagsAll with the provider's default tags.
	Tagged bool
	// ReplaceIf adds conditions for replacement that span fields: inputs and state before, inputs after.
	ReplaceIf func(field string, oldIn, old, in Values) bool
	// Follows are outputs that change with a field: a preview of the change does not know them.
	Follows map[string][]string

	Create func(*Call) (id string, err error)
	// Read gives the actual values; nil where the resource does not exist. A value that is nil is absent.
	Read func(*Call) (Values, error)
	// Update is nil where every field replaces.
	Update func(*Call) error
	Delete func(*Call) error
}

// Function describes a function: its token in short, arguments, results, and the call.
type Function struct {
	Token   string
	Inputs  Fields
	Outputs Fields
	Call    func(ctx context.Context, in Values) (Values, error)
}

// Service is what a provider is made of.
type Service interface {
	Resources() []*Resource
	Functions() []*Function
	Config() Fields
	// Configure gets ready for calls; it may be called with some values unknown, in previews.
	Configure(ctx context.Context, config Values) error
	// DefaultTags are the provider's own.
	DefaultTags() map[string]string
	// Explain turns an error of the service into words that say what to do.
	Explain(err error) error
}
