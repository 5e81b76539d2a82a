package service

import (
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"aether.dev/engine/aws/table"
)

func (s *Session) parameterResources() []*table.Resource {
	parameter := &table.Resource{
		Token: "ssm/parameter:Parameter", Tagged: true, Name: "name",
		Fields: withRegion(table.Fields{
			"name":           {Kind: table.String, Computed: true, Replace: true},
			"type":           {Kind: table.String, Required: true},
			"value":          {Kind: table.String, Computed: true, Secret: true},
			"insecureValue":  {Kind: table.String, Computed: true},
			"description":    {Kind: table.String},
			"allowedPattern": {Kind: table.String},
			"dataType":       {Kind: table.String, Computed: true, Replace: true},
			"keyId":          {Kind: table.String, Computed: true},
			"tier":           {Kind: table.String, Computed: true},
			"overwrite":      {Kind: table.Bool},
			"arn":            {Kind: table.String, Computed: true},
			"version":        {Kind: table.Int, Output: true},
		}),
		ReplaceIf: func(field string, oldIn, _, in table.Values) bool {
			return field == "tier" && oldIn.Str(field) == "Advanced" && in.Str(field) == "Standard"
		},
	}
	put := func(c *table.Call, overwrite bool) error {
		value := given(c.In, "value")
		if value == nil {
			value = given(c.In, "insecureValue")
		}
		if value == nil {
			return errors.New("needs a value, or an insecureValue")
		}
		input := &ssm.PutParameterInput{
			Name: given(c.In, "name"), Value: value, Type: types.ParameterType(c.In.Str("type")),
			Description: given(c.In, "description"), AllowedPattern: given(c.In, "allowedPattern"),
			DataType: given(c.In, "dataType"), KeyId: given(c.In, "keyId"), Tier: types.ParameterTier(c.In.Str("tier")),
		}
		if overwrite {
			input.Overwrite = aws.Bool(true)
		} else {
			// The API refuses tags together with overwriting.
			input.Tags = ssmTags(c.In.Map("tagsAll"))
		}
		_, err := s.ssm.PutParameter(c, input)
		return err
	}
	parameter.Create = func(c *table.Call) (string, error) {
		if err := put(c, c.In.Bool("overwrite")); err != nil {
			return "", err
		}
		return c.In.Str("name"), nil
	}
	parameter.Read = s.readParameter
	parameter.Update = func(c *table.Call) error {
		if c.Changed(parameter, "type", "value", "insecureValue", "description", "allowedPattern", "dataType", "keyId", "tier") {
			if err := put(c, true); err != nil {
				return err
			}
		}
		set, removed := tagChanges(c)
		kind := types.ResourceTypeForTaggingParameter
		if len(removed) > 0 {
			if _, err := s.ssm.RemoveTagsFromResource(c, &ssm.RemoveTagsFromResourceInput{
				ResourceId: &c.ID, ResourceType: kind, TagKeys: removed,
			}); err != nil {
				return err
			}
		}
		if len(set) == 0 {
			return nil
		}
		_, err := s.ssm.AddTagsToResource(c, &ssm.AddTagsToResourceInput{ResourceId: &c.ID, ResourceType: kind, Tags: ssmTags(set)})
		return err
	}
	parameter.Delete = func(c *table.Call) error {
		_, err := s.ssm.DeleteParameter(c, &ssm.DeleteParameterInput{Name: &c.ID})
		return gone(err, "ParameterNotFound")
	}
	return []*table.Resource{parameter}
}

func ssmTags(tags map[string]string) []types.Tag {
	list := []types.Tag{}
	for key, value := range tags {
		list = append(list, types.Tag{Key: aws.String(key), Value: aws.String(value)})
	}
	return list
}

func (s *Session) readParameter(c *table.Call) (table.Values, error) {
	found, err := s.ssm.GetParameter(c, &ssm.GetParameterInput{Name: &c.ID, WithDecryption: aws.Bool(true)})
	if has(err, "ParameterNotFound") {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	actual := found.Parameter
	state := table.Values{
		"name": text(actual.Name), "type": string(actual.Type), "arn": text(actual.ARN), "dataType": text(actual.DataType),
		"version": float64(actual.Version), "region": s.region,
	}
	if c.In.Has("insecureValue") && actual.Type != types.ParameterTypeSecureString {
		state["insecureValue"] = text(actual.Value)
	} else {
		state["value"] = text(actual.Value)
	}
	described, err := s.ssm.DescribeParameters(c, &ssm.DescribeParametersInput{
		ParameterFilters: []types.ParameterStringFilter{
			{Key: aws.String("Name"), Option: aws.String("Equals"), Values: []string{c.ID}},
		},
	})
	if err != nil {
		return nil, err
	}
	for _, metadata := range described.Parameters {
		state["description"], state["allowedPattern"] = text(metadata.Description), text(metadata.AllowedPattern)
		state["keyId"], state["tier"] = text(metadata.KeyId), string(metadata.Tier)
	}
	tags, err := s.ssm.ListTagsForResource(c, &ssm.ListTagsForResourceInput{
		ResourceId: &c.ID, ResourceType: types.ResourceTypeForTaggingParameter,
	})
	if err != nil {
		return nil, err
	}
	all := map[string]any{}
	for _, tag := range tags.TagList {
		all[aws.ToString(tag.Key)] = aws.ToString(tag.Value)
	}
	state["tagsAll"] = all
	return state, nil
}
