package table

import (
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

	p "github.com/pulumi/pulumi-go-provider"
	presource "github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// check completes the inputs (defaults, name, all tags) and finds what is wrong with them.
func (r *Resource) check(urn presource.URN, old, in Values, seed []byte, defaultTags map[string]string) []p.CheckFailure {
	var failures []p.CheckFailure
	if r.Name != "" && in[r.Name] == nil && in[r.Name+"Prefix"] == nil {
		in[r.Name] = old[r.Name]
		if in[r.Name] == nil {
			in[r.Name] = fmt.Sprintf("%s-%s", urn.Name(), randomEnd(seed))
		}
	}
	// No argument: it is here where the program ignores its changes, and the engine gave what was there before.
	kept := in["tagsAll"]
	delete(in, "tagsAll")
	failures = checkFields(r.fields(), in, "")
	if r.Tagged && kept != nil {
		in["tagsAll"] = kept
	} else if r.Tagged {
		tags := maps.Clone(defaultTags)
		if tags == nil {
			tags = map[string]string{}
		}
		maps.Copy(tags, in.Map("tags"))
		if isKnown(in["tags"]) {
			in["tagsAll"] = TextMap(tags)
		} else {
			in["tagsAll"] = Unknown{}
		}
	}
	return failures
}

// randomEnd is as long as the one that the released plugin gives.
func randomEnd(seed []byte) string {
	if len(seed) < 4 {
		seed = []byte{0, 0, 0, 0}
	}
	return hex.EncodeToString(seed)[:7]
}

func checkFields(fields Fields, in Values, path string) []p.CheckFailure {
	var failures []p.CheckFailure
	refuse := func(name, reason string) {
		failures = append(failures, p.CheckFailure{Property: path + name, Reason: reason})
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		field := fields[name]
		if in[name] == nil && field.Default != nil {
			in[name] = normal(field.Default)
		}
		if in[name] == nil && field.Required {
			refuse(name, "is required")
		}
		if reason := field.mismatch(in[name]); reason != "" {
			refuse(name, reason)
			continue
		}
		for i, object := range append(in.Objects(name), in.Object(name)) {
			if object != nil && field.Elem != nil {
				at := path + name + "."
				if field.Kind == Objects {
					at = fmt.Sprintf("%s%s[%d].", path, name, i)
				}
				failures = append(failures, checkFields(field.Elem, object, at)...)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(in)) {
		if field := fields[name]; (field == nil || field.Output) && in[name] != nil && !strings.HasPrefix(name, "__") {
			refuse(name, "is not an argument that the fake for the aws plugin has (engine/go/aws)")
		}
	}
	return failures
}

// mismatch says what is wrong with a value's type, empty where nothing is.
func (f *Field) mismatch(value any) string {
	if _, unknown := value.(Unknown); unknown || value == nil {
		return ""
	}
	ok, wanted := true, ""
	switch f.Kind {
	case String:
		_, ok = value.(string)
		wanted = "a text"
	case Bool:
		_, ok = value.(bool)
		wanted = "true or false"
	case Int, Number:
		_, ok = value.(float64)
		wanted = "a number"
	case Map, Object:
		_, ok = value.(map[string]any)
		wanted = "an object"
	case Strings, Objects:
		_, ok = value.([]any)
		wanted = "a list"
	}
	if ok {
		return ""
	}
	return fmt.Sprintf("must be %s", wanted)
}

// fields are those of the table and those that tags add.
func (r *Resource) fields() Fields {
	if !r.Tagged {
		return r.Fields
	}
	all := maps.Clone(r.Fields)
	all["tags"] = &Field{Kind: Map}
	all["tagsAll"] = &Field{Kind: Map, Output: true}
	return all
}

// inputs are the fields that a program gives.
func (f Fields) inputs() Fields {
	given := Fields{}
	for name, field := range f {
		if !field.Output {
			given[name] = field
		}
	}
	return given
}
