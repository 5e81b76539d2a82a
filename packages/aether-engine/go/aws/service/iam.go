package service

import (
	"context"
	"encoding/json"
	"net/url"
	"reflect"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"aether.dev/engine/aws/table"
)

const noSuchEntity = "NoSuchEntity"

func (s *Session) iamResources() []*table.Resource {
	return []*table.Resource{s.role(), s.rolePolicy(), s.policyAttachment(), s.instanceProfile()}
}

// samePolicy compares policy documents by what they say.
func samePolicy(a, b any) bool {
	var x, y any
	if json.Unmarshal([]byte(a.(string)), &x) != nil || json.Unmarshal([]byte(b.(string)), &y) != nil {
		return a == b
	}
	return reflect.DeepEqual(x, y)
}

// document undoes the URL encoding of documents in answers.
func document(encoded *string) any {
	decoded, err := url.PathUnescape(aws.ToString(encoded))
	if err != nil {
		return aws.ToString(encoded)
	}
	return decoded
}

func iamTags(tags map[string]string) []types.Tag {
	list := []types.Tag{}
	for key, value := range tags {
		list = append(list, types.Tag{Key: aws.String(key), Value: aws.String(value)})
	}
	return list
}

func iamTagsOf(list []types.Tag) map[string]any {
	tags := map[string]any{}
	for _, tag := range list {
		tags[aws.ToString(tag.Key)] = aws.ToString(tag.Value)
	}
	return tags
}

func (s *Session) role() *table.Resource {
	role := &table.Resource{
		Token: "iam/role:Role", Tagged: true, Name: "name",
		Fields: table.Fields{
			"name":                {Kind: table.String, Computed: true, Replace: true},
			"namePrefix":          {Kind: table.String, Computed: true, Replace: true},
			"path":                {Kind: table.String, Default: "/", Replace: true},
			"assumeRolePolicy":    {Kind: table.String, Required: true, Same: samePolicy},
			"description":         {Kind: table.String},
			"maxSessionDuration":  {Kind: table.Int, Default: 3600},
			"permissionsBoundary": {Kind: table.String},
			"forceDetachPolicies": {Kind: table.Bool, Default: false},
			"arn":                 {Kind: table.String, Output: true},
			"createDate":          {Kind: table.String, Output: true},
			"uniqueId":            {Kind: table.String, Output: true},
		},
		Delete: s.deleteRole,
	}
	role.Create = func(c *table.Call) (string, error) {
		made, err := s.iam.CreateRole(c, &iam.CreateRoleInput{
			RoleName: given(c.In, "name"), Path: given(c.In, "path"), Description: given(c.In, "description"),
			AssumeRolePolicyDocument: given(c.In, "assumeRolePolicy"), PermissionsBoundary: given(c.In, "permissionsBoundary"),
			MaxSessionDuration: aws.Int32(int32(c.In.Int("maxSessionDuration"))), Tags: iamTags(c.In.Map("tagsAll")),
		})
		if err != nil {
			return "", err
		}
		return aws.ToString(made.Role.RoleName), nil
	}
	role.Read = func(c *table.Call) (table.Values, error) {
		found, err := s.iam.GetRole(c, &iam.GetRoleInput{RoleName: &c.ID})
		if has(err, noSuchEntity) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		actual := found.Role
		state := table.Values{
			"name": text(actual.RoleName), "path": text(actual.Path), "description": text(actual.Description),
			"assumeRolePolicy": document(actual.AssumeRolePolicyDocument), "arn": text(actual.Arn),
			"uniqueId": text(actual.RoleId), "createDate": date(actual.CreateDate), "tagsAll": iamTagsOf(actual.Tags),
			"permissionsBoundary": nil,
		}
		if actual.MaxSessionDuration != nil {
			state["maxSessionDuration"] = float64(*actual.MaxSessionDuration)
		}
		if actual.PermissionsBoundary != nil {
			state["permissionsBoundary"] = text(actual.PermissionsBoundary.PermissionsBoundaryArn)
		}
		return state, nil
	}
	role.Update = func(c *table.Call) error { return s.updateRole(c, role) }
	return role
}

func (s *Session) updateRole(c *table.Call, role *table.Resource) error {
	if c.Changed(role, "assumeRolePolicy") {
		if _, err := s.iam.UpdateAssumeRolePolicy(c, &iam.UpdateAssumeRolePolicyInput{
			RoleName: &c.ID, PolicyDocument: given(c.In, "assumeRolePolicy"),
		}); err != nil {
			return err
		}
	}
	if c.Changed(role, "description", "maxSessionDuration") {
		if _, err := s.iam.UpdateRole(c, &iam.UpdateRoleInput{
			RoleName: &c.ID, Description: aws.String(c.In.Str("description")),
			MaxSessionDuration: aws.Int32(int32(c.In.Int("maxSessionDuration"))),
		}); err != nil {
			return err
		}
	}
	if c.Changed(role, "permissionsBoundary") {
		var err error
		if c.In.Has("permissionsBoundary") {
			_, err = s.iam.PutRolePermissionsBoundary(c, &iam.PutRolePermissionsBoundaryInput{
				RoleName: &c.ID, PermissionsBoundary: given(c.In, "permissionsBoundary"),
			})
		} else {
			_, err = s.iam.DeleteRolePermissionsBoundary(c, &iam.DeleteRolePermissionsBoundaryInput{RoleName: &c.ID})
		}
		if err != nil {
			return err
		}
	}
	set, removed := tagChanges(c)
	if len(removed) > 0 {
		if _, err := s.iam.UntagRole(c, &iam.UntagRoleInput{RoleName: &c.ID, TagKeys: removed}); err != nil {
			return err
		}
	}
	if len(set) == 0 {
		return nil
	}
	_, err := s.iam.TagRole(c, &iam.TagRoleInput{RoleName: &c.ID, Tags: iamTags(set)})
	return err
}

// deleteRole first takes it out of instance profiles, as the released plugin does, and detaches policies if allowed.
func (s *Session) deleteRole(c *table.Call) error {
	profiles, err := s.iam.ListInstanceProfilesForRole(c, &iam.ListInstanceProfilesForRoleInput{RoleName: &c.ID})
	if err != nil {
		return gone(err, noSuchEntity)
	}
	for _, profile := range profiles.InstanceProfiles {
		if _, err := s.iam.RemoveRoleFromInstanceProfile(c, &iam.RemoveRoleFromInstanceProfileInput{
			RoleName: &c.ID, InstanceProfileName: profile.InstanceProfileName,
		}); gone(err, noSuchEntity) != nil {
			return err
		}
	}
	if c.OldIn.Bool("forceDetachPolicies") {
		attached, err := s.iam.ListAttachedRolePolicies(c, &iam.ListAttachedRolePoliciesInput{RoleName: &c.ID})
		if err != nil {
			return gone(err, noSuchEntity)
		}
		for _, policy := range attached.AttachedPolicies {
			if _, err := s.iam.DetachRolePolicy(c, &iam.DetachRolePolicyInput{
				RoleName: &c.ID, PolicyArn: policy.PolicyArn,
			}); gone(err, noSuchEntity) != nil {
				return err
			}
		}
	}
	return gone(eventually(c, missing("DeleteConflict"), func() error {
		_, err := s.iam.DeleteRole(c, &iam.DeleteRoleInput{RoleName: &c.ID})
		return err
	}), noSuchEntity)
}

func date(moment *time.Time) any {
	if moment == nil {
		return nil
	}
	return moment.UTC().Format(time.RFC3339)
}

// rolePolicy has the id of the released plugin: role:name.
func (s *Session) rolePolicy() *table.Resource {
	put := func(c *table.Call) error {
		return eventually(c, missing(noSuchEntity), func() error {
			_, err := s.iam.PutRolePolicy(c, &iam.PutRolePolicyInput{
				RoleName: given(c.In, "role"), PolicyName: given(c.In, "name"), PolicyDocument: given(c.In, "policy"),
			})
			return err
		})
	}
	return &table.Resource{
		Token: "iam/rolePolicy:RolePolicy", Name: "name",
		Fields: table.Fields{
			"name":       {Kind: table.String, Computed: true, Replace: true},
			"namePrefix": {Kind: table.String, Computed: true, Replace: true},
			"role":       {Kind: table.String, Required: true, Replace: true},
			"policy":     {Kind: table.String, Required: true, Same: samePolicy},
		},
		Create: func(c *table.Call) (string, error) {
			if err := put(c); err != nil {
				return "", err
			}
			return c.In.Str("role") + ":" + c.In.Str("name"), nil
		},
		Read: func(c *table.Call) (table.Values, error) {
			role, name, _ := strings.Cut(c.ID, ":")
			found, err := s.iam.GetRolePolicy(c, &iam.GetRolePolicyInput{RoleName: &role, PolicyName: &name})
			if has(err, noSuchEntity) {
				return nil, nil
			}
			if err != nil {
				return nil, err
			}
			return table.Values{"role": role, "name": name, "policy": document(found.PolicyDocument)}, nil
		},
		Update: put,
		Delete: func(c *table.Call) error {
			role, name, _ := strings.Cut(c.ID, ":")
			_, err := s.iam.DeleteRolePolicy(c, &iam.DeleteRolePolicyInput{RoleName: &role, PolicyName: &name})
			return gone(err, noSuchEntity)
		},
	}
}

func (s *Session) policyAttachment() *table.Resource {
	find := func(ctx context.Context, role, arn string) (bool, error) {
		pages := iam.NewListAttachedRolePoliciesPaginator(s.iam, &iam.ListAttachedRolePoliciesInput{RoleName: &role})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				return false, gone(err, noSuchEntity)
			}
			for _, policy := range page.AttachedPolicies {
				if aws.ToString(policy.PolicyArn) == arn {
					return true, nil
				}
			}
		}
		return false, nil
	}
	parts := func(c *table.Call) (role, arn string) {
		if c.Old.Has("role") {
			return c.Old.Str("role"), c.Old.Str("policyArn")
		}
		if c.In.Has("role") {
			return c.In.Str("role"), c.In.Str("policyArn")
		}
		// An import names them: role/arn.
		role, arn, _ = strings.Cut(c.ID, "/")
		return role, arn
	}
	return &table.Resource{
		Token: "iam/rolePolicyAttachment:RolePolicyAttachment",
		Fields: table.Fields{
			"role":      {Kind: table.String, Required: true, Replace: true},
			"policyArn": {Kind: table.String, Required: true, Replace: true},
		},
		Create: func(c *table.Call) (string, error) {
			err := eventually(c, missing(noSuchEntity), func() error {
				_, err := s.iam.AttachRolePolicy(c, &iam.AttachRolePolicyInput{
					RoleName: given(c.In, "role"), PolicyArn: given(c.In, "policyArn"),
				})
				return err
			})
			if err != nil {
				return "", err
			}
			return c.In.Str("role") + "/" + c.In.Str("policyArn"), nil
		},
		Read: func(c *table.Call) (table.Values, error) {
			role, arn := parts(c)
			attached, err := find(c, role, arn)
			if err != nil || !attached {
				return nil, err
			}
			return table.Values{"role": role, "policyArn": arn}, nil
		},
		Delete: func(c *table.Call) error {
			role, arn := parts(c)
			_, err := s.iam.DetachRolePolicy(c, &iam.DetachRolePolicyInput{RoleName: &role, PolicyArn: &arn})
			return gone(err, noSuchEntity)
		},
	}
}

func (s *Session) instanceProfile() *table.Resource {
	profile := &table.Resource{
		Token: "iam/instanceProfile:InstanceProfile", Tagged: true, Name: "name",
		Fields: table.Fields{
			"name":       {Kind: table.String, Computed: true, Replace: true},
			"namePrefix": {Kind: table.String, Computed: true, Replace: true},
			"path":       {Kind: table.String, Default: "/", Replace: true},
			"role":       {Kind: table.String},
			"arn":        {Kind: table.String, Output: true},
			"createDate": {Kind: table.String, Output: true},
			"uniqueId":   {Kind: table.String, Output: true},
		},
	}
	add := func(c *table.Call, id string) error {
		if !c.In.Has("role") {
			return nil
		}
		return eventually(c, missing(noSuchEntity), func() error {
			_, err := s.iam.AddRoleToInstanceProfile(c, &iam.AddRoleToInstanceProfileInput{
				InstanceProfileName: &id, RoleName: given(c.In, "role"),
			})
			return err
		})
	}
	remove := func(c *table.Call, role string) error {
		if role == "" {
			return nil
		}
		_, err := s.iam.RemoveRoleFromInstanceProfile(c, &iam.RemoveRoleFromInstanceProfileInput{
			InstanceProfileName: &c.ID, RoleName: &role,
		})
		return gone(err, noSuchEntity)
	}
	profile.Create = func(c *table.Call) (string, error) {
		made, err := s.iam.CreateInstanceProfile(c, &iam.CreateInstanceProfileInput{
			InstanceProfileName: given(c.In, "name"), Path: given(c.In, "path"), Tags: iamTags(c.In.Map("tagsAll")),
		})
		if err != nil {
			return "", err
		}
		id := aws.ToString(made.InstanceProfile.InstanceProfileName)
		return id, add(c, id)
	}
	profile.Read = func(c *table.Call) (table.Values, error) {
		found, err := s.iam.GetInstanceProfile(c, &iam.GetInstanceProfileInput{InstanceProfileName: &c.ID})
		if has(err, noSuchEntity) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		actual := found.InstanceProfile
		state := table.Values{
			"name": text(actual.InstanceProfileName), "path": text(actual.Path), "arn": text(actual.Arn), "role": nil,
			"uniqueId": text(actual.InstanceProfileId), "createDate": date(actual.CreateDate), "tagsAll": iamTagsOf(actual.Tags),
		}
		if len(actual.Roles) > 0 {
			state["role"] = text(actual.Roles[0].RoleName)
		}
		return state, nil
	}
	profile.Update = func(c *table.Call) error {
		if c.Changed(profile, "role") {
			if err := remove(c, c.Old.Str("role")); err != nil {
				return err
			}
			if err := add(c, c.ID); err != nil {
				return err
			}
		}
		set, removed := tagChanges(c)
		if len(removed) > 0 {
			if _, err := s.iam.UntagInstanceProfile(c, &iam.UntagInstanceProfileInput{
				InstanceProfileName: &c.ID, TagKeys: removed,
			}); err != nil {
				return err
			}
		}
		if len(set) == 0 {
			return nil
		}
		_, err := s.iam.TagInstanceProfile(c, &iam.TagInstanceProfileInput{InstanceProfileName: &c.ID, Tags: iamTags(set)})
		return err
	}
	profile.Delete = func(c *table.Call) error {
		if err := remove(c, c.Old.Str("role")); err != nil {
			return err
		}
		_, err := s.iam.DeleteInstanceProfile(c, &iam.DeleteInstanceProfileInput{InstanceProfileName: &c.ID})
		return gone(err, noSuchEntity)
	}
	return profile
}
