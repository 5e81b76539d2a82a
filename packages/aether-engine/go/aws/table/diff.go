package table

import (
	"maps"
	"slices"

	p "github.com/pulumi/pulumi-go-provider"
)

// diff compares inputs with inputs: what the service chose by itself is no difference.
func (r *Resource) diff(old, oldState, in Values, ignored []string) p.DiffResponse {
	response := p.DiffResponse{DetailedDiff: map[string]p.PropertyDiff{}}
	fields := r.fields()
	names := maps.Clone(old)
	maps.Copy(names, in)
	replaced := false
	for name := range names {
		if slices.Contains(ignored, name) || (name == "tagsAll" && same(nil, old["tagsAll"], nil)) {
			continue
		}
		field := fields[name]
		if field == nil || same(field, old[name], in[name]) {
			continue
		}
		// An argument that is no longer given keeps what the service has, where the service chooses too.
		if in[name] == nil && field.Computed {
			continue
		}
		replace := field.replaces(old[name], in[name]) || (r.ReplaceIf != nil && r.ReplaceIf(name, old, oldState, in))
		replaced = replaced || replace
		response.DetailedDiff[name] = p.PropertyDiff{Kind: kindOf(old[name], in[name], replace), InputDiff: true}
	}
	response.HasChanges = len(response.DetailedDiff) > 0
	// A name that the program gives cannot be had twice: the old resource goes first.
	response.DeleteBeforeReplace = replaced && r.Name != "" && same(fields[r.Name], old[r.Name], in[r.Name]) &&
		!generated(in.Str(r.Name))
	return response
}

// generated recognises names that check made: they end with a hyphen and seven hexadecimal digits.
func generated(name string) bool {
	if len(name) < 8 || name[len(name)-8] != '-' {
		return false
	}
	for _, digit := range name[len(name)-7:] {
		if !slices.Contains([]rune("0123456789abcdef"), digit) {
			return false
		}
	}
	return true
}

// replaces looks into an object for the fields that need another resource.
func (f *Field) replaces(old, in any) bool {
	if f.Replace {
		return true
	}
	if f.Kind == Objects {
		before, after := Values{"": old}.Objects(""), Values{"": in}.Objects("")
		one := &Field{Kind: Object, Elem: f.Elem}
		for i := range min(len(before), len(after)) {
			if one.replaces(map[string]any(before[i]), map[string]any(after[i])) {
				return true
			}
		}
		return false
	}
	if f.Kind != Object {
		return false
	}
	before, _ := old.(map[string]any)
	after, _ := in.(map[string]any)
	for name, field := range f.Elem {
		if after[name] != nil && !same(field, before[name], after[name]) && field.replaces(before[name], after[name]) {
			return true
		}
	}
	return false
}

func kindOf(old, in any, replace bool) p.DiffKind {
	kinds := [...]p.DiffKind{p.Update, p.UpdateReplace}
	switch {
	case old == nil:
		kinds = [...]p.DiffKind{p.Add, p.AddReplace}
	case in == nil:
		kinds = [...]p.DiffKind{p.Delete, p.DeleteReplace}
	}
	if replace {
		return kinds[1]
	}
	return kinds[0]
}

// refreshed are the inputs as a program would have to give them to get the actual state.
func (r *Resource) refreshed(oldIn, state Values, defaultTags map[string]string) Values {
	in := Values{}
	fields := r.fields()
	if len(oldIn) == 0 {
		// An import: what is there and could be given.
		for name, field := range fields.inputs() {
			if value, ok := state[name]; ok && value != nil && !same(field, value, field.Default) {
				in[name] = value
			}
		}
		return r.refreshedTags(in, Values{}, state, defaultTags)
	}
	for name, value := range oldIn {
		actual, known := state[name]
		field := fields[name]
		switch {
		case field == nil || !known || same(field, value, actual):
			in[name] = value
		case field.Kind == Object && actual != nil:
			in[name] = onlyGiven(field, value, actual)
		default:
			in[name] = actual
		}
	}
	return r.refreshedTags(in, oldIn, state, defaultTags)
}

func onlyGiven(field *Field, given, actual any) any {
	before, _ := given.(map[string]any)
	after := Values{"": normal(actual)}.Object("")
	object := map[string]any{}
	for name, value := range before {
		object[name] = value
		if actual, ok := after[name]; ok && !same(field.Elem[name], value, actual) {
			object[name] = actual
		}
	}
	return object
}

func (r *Resource) refreshedTags(in, oldIn, state Values, defaultTags map[string]string) Values {
	if !r.Tagged {
		return in
	}
	all, own := state.Map("tagsAll"), map[string]string{}
	for key, value := range all {
		_, given := oldIn.Map("tags")[key]
		if given || defaultTags[key] != value {
			own[key] = value
		}
	}
	delete(in, "tags")
	if len(own) > 0 {
		in["tags"] = TextMap(own)
	}
	in["tagsAll"] = TextMap(all)
	return in
}
