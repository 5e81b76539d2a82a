package service

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"aether.dev/engine/aws/table"
)

// specification tags an EC2 resource as it is made.
func specification(kind types.ResourceType, tags map[string]string) []types.TagSpecification {
	if len(tags) == 0 {
		return nil
	}
	return []types.TagSpecification{{ResourceType: kind, Tags: ec2Tags(tags)}}
}

func ec2Tags(tags map[string]string) []types.Tag {
	list := []types.Tag{}
	for key, value := range tags {
		list = append(list, types.Tag{Key: aws.String(key), Value: aws.String(value)})
	}
	return list
}

func tagsOf(list []types.Tag) map[string]any {
	tags := map[string]any{}
	for _, tag := range list {
		tags[aws.ToString(tag.Key)] = aws.ToString(tag.Value)
	}
	return tags
}

// tagChanges are the tags to set, and the names of those to take away.
func tagChanges(call *table.Call) (set map[string]string, removed []string) {
	before, after := call.OldIn.Map("tagsAll"), call.In.Map("tagsAll")
	set = map[string]string{}
	for key, value := range after {
		if before[key] != value || call.OldIn["tagsAll"] == nil {
			set[key] = value
		}
	}
	for key := range before {
		if _, kept := after[key]; !kept {
			removed = append(removed, key)
		}
	}
	return set, removed
}

func (s *Session) updateTags(ctx context.Context, call *table.Call, id string) error {
	set, removed := tagChanges(call)
	if len(removed) > 0 {
		names := []types.Tag{}
		for _, key := range removed {
			names = append(names, types.Tag{Key: aws.String(key)})
		}
		if _, err := s.ec2.DeleteTags(ctx, &ec2.DeleteTagsInput{Resources: []string{id}, Tags: names}); err != nil {
			return err
		}
	}
	if len(set) == 0 {
		return nil
	}
	_, err := s.ec2.CreateTags(ctx, &ec2.CreateTagsInput{Resources: []string{id}, Tags: ec2Tags(set)})
	return err
}

// text is nil for an absent text, so that it counts as absent.
func text(value *string) any {
	if aws.ToString(value) == "" {
		return nil
	}
	return *value
}

// given is a pointer to the text that the program gives, nil where it gives none.
func given(values table.Values, name string) *string {
	if values.Str(name) == "" {
		return nil
	}
	return aws.String(values.Str(name))
}

func filter(name string, values ...string) types.Filter {
	return types.Filter{Name: aws.String(name), Values: values}
}
