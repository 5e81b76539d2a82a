package table

import (
	"maps"
	"reflect"
	"slices"

	"github.com/pulumi/pulumi/sdk/v3/go/property"
)

// Values are properties as plain Go values: string, bool, float64, []any, map[string]any, Unknown.
type Values map[string]any

// Unknown stands for a value that a preview does not know yet.
type Unknown struct{}

// Str is the text of a field, empty where it is absent.
func (v Values) Str(name string) string { s, _ := v[name].(string); return s }

// Bool is the truth of a field, false where it is absent.
func (v Values) Bool(name string) bool { b, _ := v[name].(bool); return b }

// Int is the whole number of a field, 0 where it is absent.
func (v Values) Int(name string) int { return int(v.Number(name)) }

// Number is the number of a field, 0 where it is absent.
func (v Values) Number(name string) float64 { n, _ := v[name].(float64); return n }

// Has says whether the field is given and known.
func (v Values) Has(name string) bool {
	_, unknown := v[name].(Unknown)
	return v[name] != nil && !unknown
}

// Strs is a list of texts.
func (v Values) Strs(name string) []string {
	list, _ := v[name].([]any)
	texts := make([]string, 0, len(list))
	for _, item := range list {
		if text, ok := item.(string); ok {
			texts = append(texts, text)
		}
	}
	return texts
}

// Map is a map of texts.
func (v Values) Map(name string) map[string]string {
	texts := map[string]string{}
	object, _ := v[name].(map[string]any)
	for key, value := range object {
		if text, ok := value.(string); ok {
			texts[key] = text
		}
	}
	return texts
}

// Object is a nested object, empty where it is absent.
func (v Values) Object(name string) Values { object, _ := v[name].(map[string]any); return object }

// Objects is a list of nested objects.
func (v Values) Objects(name string) []Values {
	list, _ := v[name].([]any)
	objects := make([]Values, 0, len(list))
	for _, item := range list {
		if object, ok := item.(map[string]any); ok {
			objects = append(objects, object)
		}
	}
	return objects
}

// List makes a list value of texts.
func List(texts []string) []any {
	list := make([]any, len(texts))
	for i, text := range texts {
		list[i] = text
	}
	return list
}

// TextMap makes a map value of texts.
func TextMap(texts map[string]string) map[string]any {
	object := make(map[string]any, len(texts))
	for key, text := range texts {
		object[key] = text
	}
	return object
}

// decode also tells which top-level properties are secret, in any part.
func decode(properties property.Map) (Values, map[string]bool) {
	values, secrets := Values{}, map[string]bool{}
	for name, value := range properties.All {
		values[name] = plain(value)
		if value.HasSecrets() {
			secrets[name] = true
		}
	}
	return values, secrets
}

func plain(value property.Value) any {
	switch {
	case value.IsComputed():
		return Unknown{}
	case value.IsString():
		return value.AsString()
	case value.IsBool():
		return value.AsBool()
	case value.IsNumber():
		return value.AsNumber()
	case value.IsArray():
		list := []any{}
		for _, item := range value.AsArray().All {
			list = append(list, plain(item))
		}
		return list
	case value.IsMap():
		object := map[string]any{}
		for key, item := range value.AsMap().All {
			object[key] = plain(item)
		}
		return object
	default:
		return nil
	}
}

func encode(values Values, secrets map[string]bool) property.Map {
	properties := map[string]property.Value{}
	for name, value := range values {
		if value != nil {
			properties[name] = rich(value).WithSecret(secrets[name])
		}
	}
	return property.NewMap(properties)
}

func rich(value any) property.Value {
	switch value := value.(type) {
	case Unknown:
		return property.New(property.Computed)
	case string:
		return property.New(value)
	case bool:
		return property.New(value)
	case float64:
		return property.New(value)
	case int:
		return property.New(float64(value))
	case int32:
		return property.New(float64(value))
	case int64:
		return property.New(float64(value))
	case []any:
		list := make([]property.Value, len(value))
		for i, item := range value {
			list[i] = rich(item)
		}
		return property.New(property.NewArray(list))
	case Values:
		return property.New(encode(value, nil))
	case map[string]any:
		return property.New(encode(value, nil))
	default:
		return property.Value{}
	}
}

// normal gives every number the same type, so that values compare.
func normal(value any) any {
	switch value := value.(type) {
	case int:
		return float64(value)
	case int32:
		return float64(value)
	case int64:
		return float64(value)
	case Values:
		return normal(map[string]any(value))
	case map[string]any:
		object := map[string]any{}
		for key, item := range value {
			if item != nil {
				object[key] = normal(item)
			}
		}
		return object
	case []any:
		list := make([]any, len(value))
		for i, item := range value {
			list[i] = normal(item)
		}
		return list
	default:
		return value
	}
}

// same compares two values of a field; an absent list, map or false is the same as an empty one.
func same(field *Field, a, b any) bool {
	a, b = normal(a), normal(b)
	if field == nil {
		return reflect.DeepEqual(a, b)
	}
	if field.Same != nil && a != nil && b != nil {
		return field.Same(a, b)
	}
	switch field.Kind {
	case Map:
		return maps.Equal(Values{"": a}.Map(""), Values{"": b}.Map("")) && isKnown(a) == isKnown(b)
	case Strings:
		x, y := Values{"": a}.Strs(""), Values{"": b}.Strs("")
		if field.Set {
			slices.Sort(x)
			slices.Sort(y)
		}
		return slices.Equal(x, y) && isKnown(a) == isKnown(b)
	default:
		return reflect.DeepEqual(a, b)
	}
}

func isKnown(value any) bool {
	switch value := value.(type) {
	case Unknown:
		return false
	case []any:
		return !slices.ContainsFunc(value, func(item any) bool { return !isKnown(item) })
	case map[string]any:
		for _, item := range value {
			if !isKnown(item) {
				return false
			}
		}
	}
	return true
}
