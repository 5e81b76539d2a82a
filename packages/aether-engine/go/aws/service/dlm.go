package service

import (
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dlm"
	"github.com/aws/aws-sdk-go-v2/service/dlm/types"

	"aether.dev/engine/aws/table"
)

const noPolicy = "ResourceNotFoundException"

var scheduleFields = table.Fields{
	"name":     {Kind: table.String, Required: true},
	"copyTags": {Kind: table.Bool, Computed: true, Replace: true},
	"createRule": {Kind: table.Object, Required: true, Type: "dlm/LifecyclePolicyPolicyDetailsScheduleCreateRule", Elem: table.Fields{
		"interval":     {Kind: table.Int},
		"intervalUnit": {Kind: table.String, Computed: true},
		"times":        {Kind: table.String, Computed: true},
	}},
	"retainRule": {Kind: table.Object, Required: true, Type: "dlm/LifecyclePolicyPolicyDetailsScheduleRetainRule", Elem: table.Fields{
		"count": {Kind: table.Int},
	}},
	"tagsToAdd": {Kind: table.Map},
}

func (s *Session) snapshotResources() []*table.Resource {
	policy := &table.Resource{
		Token: "dlm/lifecyclePolicy:LifecyclePolicy", Tagged: true,
		Fields: withRegion(table.Fields{
			"description":      {Kind: table.String, Required: true},
			"executionRoleArn": {Kind: table.String, Required: true},
			"state":            {Kind: table.String, Default: "ENABLED"},
			"policyDetails": {Kind: table.Object, Required: true, Type: "dlm/LifecyclePolicyPolicyDetails", Elem: table.Fields{
				"policyType":    {Kind: table.String, Default: "EBS_SNAPSHOT_MANAGEMENT"},
				"resourceTypes": {Kind: table.Strings},
				"targetTags":    {Kind: table.Map},
				"schedules":     {Kind: table.Objects, Type: "dlm/LifecyclePolicyPolicyDetailsSchedule", Elem: scheduleFields},
			}},
			"arn": {Kind: table.String, Output: true},
		}),
		Read: s.readPolicy,
	}
	policy.Create = func(c *table.Call) (string, error) {
		var made *dlm.CreateLifecyclePolicyOutput
		// A new role is not known to the service at once.
		err := eventually(c, func(err error) bool {
			return has(err, "InvalidRequestException") && strings.Contains(err.Error(), "role")
		}, func() (err error) {
			made, err = s.dlm.CreateLifecyclePolicy(c, &dlm.CreateLifecyclePolicyInput{
				Description: given(c.In, "description"), ExecutionRoleArn: given(c.In, "executionRoleArn"),
				State: types.SettablePolicyStateValues(c.In.Str("state")), PolicyDetails: policyDetails(c.In.Object("policyDetails")),
				Tags: c.In.Map("tagsAll"),
			})
			return err
		})
		if err != nil {
			return "", err
		}
		return aws.ToString(made.PolicyId), nil
	}
	policy.Update = func(c *table.Call) error {
		_, err := s.dlm.UpdateLifecyclePolicy(c, &dlm.UpdateLifecyclePolicyInput{
			PolicyId: &c.ID, Description: given(c.In, "description"), ExecutionRoleArn: given(c.In, "executionRoleArn"),
			State: types.SettablePolicyStateValues(c.In.Str("state")), PolicyDetails: policyDetails(c.In.Object("policyDetails")),
		})
		if err != nil {
			return err
		}
		set, removed := tagChanges(c)
		if len(removed) > 0 {
			if _, err := s.dlm.UntagResource(c, &dlm.UntagResourceInput{ResourceArn: given(c.Old, "arn"), TagKeys: removed}); err != nil {
				return err
			}
		}
		if len(set) > 0 {
			_, err = s.dlm.TagResource(c, &dlm.TagResourceInput{ResourceArn: given(c.Old, "arn"), Tags: set})
		}
		return err
	}
	policy.Delete = func(c *table.Call) error {
		_, err := s.dlm.DeleteLifecyclePolicy(c, &dlm.DeleteLifecyclePolicyInput{PolicyId: &c.ID})
		return gone(err, noPolicy)
	}
	return []*table.Resource{policy}
}

func policyDetails(in table.Values) *types.PolicyDetails {
	details := &types.PolicyDetails{PolicyType: types.PolicyTypeValues(in.Str("policyType")), TargetTags: dlmTags(in.Map("targetTags"))}
	for _, kind := range in.Strs("resourceTypes") {
		details.ResourceTypes = append(details.ResourceTypes, types.ResourceTypeValues(kind))
	}
	for _, one := range in.Objects("schedules") {
		every, kept := one.Object("createRule"), one.Object("retainRule")
		rule := &types.CreateRule{IntervalUnit: types.IntervalUnitValues(every.Str("intervalUnit"))}
		if every.Has("interval") {
			rule.Interval = aws.Int32(int32(every.Int("interval")))
		}
		if every.Has("times") {
			rule.Times = []string{every.Str("times")}
		}
		details.Schedules = append(details.Schedules, types.Schedule{
			Name: given(one, "name"), CopyTags: aws.Bool(one.Bool("copyTags")), CreateRule: rule, TagsToAdd: dlmTags(one.Map("tagsToAdd")),
			RetainRule: &types.RetainRule{Count: aws.Int32(int32(kept.Int("count")))},
		})
	}
	return details
}

func dlmTags(tags map[string]string) []types.Tag {
	list := []types.Tag{}
	for key, value := range tags {
		list = append(list, types.Tag{Key: aws.String(key), Value: aws.String(value)})
	}
	slices.SortFunc(list, func(a, b types.Tag) int { return strings.Compare(*a.Key, *b.Key) })
	return list
}

func dlmTagsOf(list []types.Tag) map[string]any {
	tags := map[string]any{}
	for _, tag := range list {
		tags[aws.ToString(tag.Key)] = aws.ToString(tag.Value)
	}
	return tags
}

func (s *Session) readPolicy(c *table.Call) (table.Values, error) {
	found, err := s.dlm.GetLifecyclePolicy(c, &dlm.GetLifecyclePolicyInput{PolicyId: &c.ID})
	if has(err, noPolicy) || (err == nil && found.Policy == nil) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	actual := found.Policy
	state := table.Values{
		"description": text(actual.Description), "executionRoleArn": text(actual.ExecutionRoleArn), "state": string(actual.State),
		"arn": text(actual.PolicyArn), "tagsAll": table.TextMap(actual.Tags), "region": s.region,
	}
	if actual.PolicyDetails == nil {
		return state, nil
	}
	details := map[string]any{
		"policyType": string(actual.PolicyDetails.PolicyType), "targetTags": dlmTagsOf(actual.PolicyDetails.TargetTags),
	}
	kinds := []string{}
	for _, kind := range actual.PolicyDetails.ResourceTypes {
		kinds = append(kinds, string(kind))
	}
	details["resourceTypes"] = table.List(kinds)
	schedules := []any{}
	for _, one := range actual.PolicyDetails.Schedules {
		schedules = append(schedules, scheduleOf(one))
	}
	details["schedules"] = schedules
	state["policyDetails"] = details
	return state, nil
}

func scheduleOf(one types.Schedule) map[string]any {
	schedule := map[string]any{"name": aws.ToString(one.Name), "copyTags": aws.ToBool(one.CopyTags)}
	if len(one.TagsToAdd) > 0 {
		schedule["tagsToAdd"] = dlmTagsOf(one.TagsToAdd)
	}
	if one.CreateRule != nil {
		rule := map[string]any{"intervalUnit": string(one.CreateRule.IntervalUnit)}
		if one.CreateRule.Interval != nil {
			rule["interval"] = float64(*one.CreateRule.Interval)
		}
		if len(one.CreateRule.Times) > 0 {
			rule["times"] = one.CreateRule.Times[0]
		}
		schedule["createRule"] = rule
	}
	if one.RetainRule != nil {
		schedule["retainRule"] = map[string]any{"count": float64(aws.ToInt32(one.RetainRule.Count))}
	}
	return schedule
}
