package table

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	p "github.com/pulumi/pulumi-go-provider"
)

type object = map[string]any

// schema writes the Pulumi package schema that follows from the tables.
func (made *provider) schema(context.Context, p.GetSchemaRequest) (p.GetSchemaResponse, error) {
	types, resources, functions := object{}, object{}, object{}
	for token, resource := range made.resources {
		fields := resource.fields()
		resources[token] = object{
			"properties":      made.properties(fields, types),
			"required":        required(fields, func(f *Field) bool { return f.Required || f.Output }),
			"inputProperties": made.properties(fields.inputs(), types),
			"requiredInputs":  required(fields, func(f *Field) bool { return f.Required }),
		}
	}
	for token, function := range made.functions {
		functions[token] = object{
			"inputs":  object{"properties": made.properties(function.Inputs, types)},
			"outputs": object{"properties": made.properties(function.Outputs, types)},
		}
	}
	config := made.properties(made.Config(), types)
	text, err := json.MarshalIndent(object{
		"name": made.name, "version": made.version, "types": types,
		"meta":      object{"moduleFormat": "(.*)(?:/[^/]*)"},
		"config":    object{"variables": config},
		"provider":  object{"inputProperties": config},
		"resources": resources, "functions": functions,
	}, "", "    ")
	return p.GetSchemaResponse{Schema: string(text)}, err
}

func (made *provider) properties(fields Fields, types object) object {
	properties := object{}
	for name, field := range fields {
		property := made.typeOf(field, types)
		if field.Replace {
			property["willReplaceOnChanges"] = true
		}
		if field.Secret {
			property["secret"] = true
		}
		if field.Default != nil {
			property["default"] = field.Default
		}
		properties[name] = property
	}
	return properties
}

func (made *provider) typeOf(field *Field, types object) object {
	switch field.Kind {
	case Bool:
		return object{"type": "boolean"}
	case Int:
		return object{"type": "integer"}
	case Number:
		return object{"type": "number"}
	case Map:
		return object{"type": "object", "additionalProperties": object{"type": "string"}}
	case Strings:
		return object{"type": "array", "items": object{"type": "string"}}
	case Object:
		return made.reference(field, types)
	case Objects:
		return object{"type": "array", "items": made.reference(field, types)}
	default:
		return object{"type": "string"}
	}
}

func (made *provider) reference(field *Field, types object) object {
	token := made.name + ":" + field.Type + ":" + field.Type[strings.LastIndexByte(field.Type, '/')+1:]
	types[token] = object{
		"type": "object", "properties": made.properties(field.Elem, types),
		"required": required(field.Elem, func(f *Field) bool { return f.Required }),
	}
	return object{"$ref": "#/types/" + token}
}

func required(fields Fields, is func(*Field) bool) []string {
	names := []string{}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if is(fields[name]) {
			names = append(names, name)
		}
	}
	return names
}
