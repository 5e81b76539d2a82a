package service

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"aether.dev/engine/aws/table"
)

func (s *Session) groupResources() []*table.Resource {
	return []*table.Resource{
		s.securityGroup(),
		s.groupRule("vpc/securityGroupIngressRule:SecurityGroupIngressRule", false),
		s.groupRule("vpc/securityGroupEgressRule:SecurityGroupEgressRule", true),
	}
}

func inlineRule(kind string) *table.Field {
	return &table.Field{Kind: table.Objects, Computed: true, Type: kind, Elem: table.Fields{
		"protocol":       {Kind: table.String, Required: true},
		"fromPort":       {Kind: table.Int, Required: true},
		"toPort":         {Kind: table.Int, Required: true},
		"cidrBlocks":     {Kind: table.Strings},
		"ipv6CidrBlocks": {Kind: table.Strings},
		"description":    {Kind: table.String},
	}}
}

// securityGroup can have its rules inside, or leave them to rule resources; not both.
func (s *Session) securityGroup() *table.Resource {
	group := &table.Resource{
		Token: "ec2/securityGroup:SecurityGroup", Tagged: true, Name: "name",
		Fields: withRegion(table.Fields{
			"name":                {Kind: table.String, Computed: true, Replace: true},
			"namePrefix":          {Kind: table.String, Replace: true},
			"description":         {Kind: table.String, Default: "Managed by Pulumi", Replace: true},
			"vpcId":               {Kind: table.String, Computed: true, Replace: true},
			"revokeRulesOnDelete": {Kind: table.Bool, Default: false},
			"ingress":             inlineRule("ec2/SecurityGroupIngress"),
			"egress":              inlineRule("ec2/SecurityGroupEgress"),
			"arn":                 {Kind: table.String, Output: true},
			"ownerId":             {Kind: table.String, Output: true},
		}),
	}
	group.Create = func(c *table.Call) (string, error) {
		made, err := s.ec2.CreateSecurityGroup(c, &ec2.CreateSecurityGroupInput{
			GroupName: given(c.In, "name"), Description: given(c.In, "description"), VpcId: given(c.In, "vpcId"),
			TagSpecifications: specification(types.ResourceTypeSecurityGroup, c.In.Map("tagsAll")),
		})
		if err != nil {
			return "", err
		}
		id := aws.ToString(made.GroupId)
		// AWS lets everything out of a new group; here, as in the released plugin, rules are those that are declared.
		err = eventually(c, missing("InvalidGroup.NotFound"), func() error { return s.revokeDefault(c, id) })
		if err != nil {
			return id, err
		}
		return id, s.inlineRules(c, group, id)
	}
	group.Read = s.readGroup
	group.Update = func(c *table.Call) error {
		if err := s.inlineRules(c, group, c.ID); err != nil {
			return err
		}
		return s.updateTags(c, c, c.ID)
	}
	group.Delete = func(c *table.Call) error {
		// A network interface of a terminated instance keeps its groups for a while.
		return gone(eventually(c, missing("DependencyViolation", "InvalidGroup.InUse"), func() error {
			_, err := s.ec2.DeleteSecurityGroup(c, &ec2.DeleteSecurityGroupInput{GroupId: &c.ID})
			return err
		}), "InvalidGroup.NotFound")
	}
	return group
}

func (s *Session) revokeDefault(c *table.Call, id string) error {
	found, err := s.ec2.DescribeSecurityGroups(c, &ec2.DescribeSecurityGroupsInput{GroupIds: []string{id}})
	if err != nil || len(found.SecurityGroups) == 0 || len(found.SecurityGroups[0].IpPermissionsEgress) == 0 {
		return err
	}
	_, err = s.ec2.RevokeSecurityGroupEgress(c, &ec2.RevokeSecurityGroupEgressInput{
		GroupId: &id, IpPermissions: found.SecurityGroups[0].IpPermissionsEgress,
	})
	return err
}

func permissions(rules []table.Values) []types.IpPermission {
	list := []types.IpPermission{}
	for _, rule := range rules {
		permission := types.IpPermission{
			IpProtocol: given(rule, "protocol"),
			FromPort:   aws.Int32(int32(rule.Int("fromPort"))), ToPort: aws.Int32(int32(rule.Int("toPort"))),
		}
		for _, cidr := range rule.Strs("cidrBlocks") {
			permission.IpRanges = append(permission.IpRanges,
				types.IpRange{CidrIp: aws.String(cidr), Description: given(rule, "description")})
		}
		for _, cidr := range rule.Strs("ipv6CidrBlocks") {
			permission.Ipv6Ranges = append(permission.Ipv6Ranges,
				types.Ipv6Range{CidrIpv6: aws.String(cidr), Description: given(rule, "description")})
		}
		list = append(list, permission)
	}
	return list
}

// inlineRules takes the old rules away and makes the new ones, where they differ.
func (s *Session) inlineRules(c *table.Call, group *table.Resource, id string) error {
	if c.Changed(group, "ingress") {
		if old := permissions(c.OldIn.Objects("ingress")); len(old) > 0 {
			_, err := s.ec2.RevokeSecurityGroupIngress(c, &ec2.RevokeSecurityGroupIngressInput{GroupId: &id, IpPermissions: old})
			if gone(err, "InvalidPermission.NotFound") != nil {
				return err
			}
		}
		if rules := permissions(c.In.Objects("ingress")); len(rules) > 0 {
			_, err := s.ec2.AuthorizeSecurityGroupIngress(c, &ec2.AuthorizeSecurityGroupIngressInput{GroupId: &id, IpPermissions: rules})
			if err != nil {
				return err
			}
		}
	}
	if c.Changed(group, "egress") {
		if old := permissions(c.OldIn.Objects("egress")); len(old) > 0 {
			_, err := s.ec2.RevokeSecurityGroupEgress(c, &ec2.RevokeSecurityGroupEgressInput{GroupId: &id, IpPermissions: old})
			if gone(err, "InvalidPermission.NotFound") != nil {
				return err
			}
		}
		if rules := permissions(c.In.Objects("egress")); len(rules) > 0 {
			_, err := s.ec2.AuthorizeSecurityGroupEgress(c, &ec2.AuthorizeSecurityGroupEgressInput{GroupId: &id, IpPermissions: rules})
			return err
		}
	}
	return nil
}

func (s *Session) readGroup(c *table.Call) (table.Values, error) {
	found, err := s.ec2.DescribeSecurityGroups(c, &ec2.DescribeSecurityGroupsInput{GroupIds: []string{c.ID}})
	if has(err, "InvalidGroup.NotFound") || (err == nil && len(found.SecurityGroups) == 0) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	actual := found.SecurityGroups[0]
	return table.Values{
		"name": text(actual.GroupName), "description": text(actual.Description), "vpcId": text(actual.VpcId),
		"ownerId": text(actual.OwnerId), "region": s.region, "tagsAll": tagsOf(actual.Tags),
		"arn": s.arn("ec2", aws.ToString(actual.OwnerId), "security-group/"+c.ID),
	}, nil
}

func (s *Session) groupRule(token string, egress bool) *table.Resource {
	rule := &table.Resource{
		Token: token, Tagged: true,
		Fields: withRegion(table.Fields{
			"securityGroupId":           {Kind: table.String, Required: true, Replace: true},
			"ipProtocol":                {Kind: table.String, Required: true},
			"fromPort":                  {Kind: table.Int},
			"toPort":                    {Kind: table.Int},
			"cidrIpv4":                  {Kind: table.String},
			"cidrIpv6":                  {Kind: table.String},
			"prefixListId":              {Kind: table.String},
			"referencedSecurityGroupId": {Kind: table.String},
			"description":               {Kind: table.String},
			"arn":                       {Kind: table.String, Output: true},
			"securityGroupRuleId":       {Kind: table.String, Output: true},
		}),
	}
	rule.Create = func(c *table.Call) (string, error) {
		made, err := s.authorize(c, egress)
		if err != nil {
			return "", err
		}
		return aws.ToString(made[0].SecurityGroupRuleId), nil
	}
	rule.Read = s.readRule
	rule.Update = func(c *table.Call) error {
		if c.Changed(rule, "ipProtocol", "fromPort", "toPort", "cidrIpv4", "cidrIpv6", "prefixListId",
			"referencedSecurityGroupId", "description") {
			if _, err := s.ec2.ModifySecurityGroupRules(c, &ec2.ModifySecurityGroupRulesInput{
				GroupId: given(c.In, "securityGroupId"),
				SecurityGroupRules: []types.SecurityGroupRuleUpdate{{
					SecurityGroupRuleId: &c.ID, SecurityGroupRule: &types.SecurityGroupRuleRequest{
						IpProtocol: given(c.In, "ipProtocol"), FromPort: port(c.In, "fromPort"), ToPort: port(c.In, "toPort"),
						CidrIpv4: given(c.In, "cidrIpv4"), CidrIpv6: given(c.In, "cidrIpv6"),
						PrefixListId: given(c.In, "prefixListId"), Description: given(c.In, "description"),
						ReferencedGroupId: given(c.In, "referencedSecurityGroupId"),
					},
				}},
			}); err != nil {
				return err
			}
		}
		return s.updateTags(c, c, c.ID)
	}
	rule.Delete = func(c *table.Call) error {
		group, ids := given(c.Old, "securityGroupId"), []string{c.ID}
		var err error
		if egress {
			_, err = s.ec2.RevokeSecurityGroupEgress(c,
				&ec2.RevokeSecurityGroupEgressInput{GroupId: group, SecurityGroupRuleIds: ids})
		} else {
			_, err = s.ec2.RevokeSecurityGroupIngress(c,
				&ec2.RevokeSecurityGroupIngressInput{GroupId: group, SecurityGroupRuleIds: ids})
		}
		return gone(err, "InvalidSecurityGroupRuleId.NotFound", "InvalidGroup.NotFound", "InvalidPermission.NotFound")
	}
	return rule
}

// port is -1 (all) where a protocol other than "all" has none given.
func port(in table.Values, name string) *int32 {
	if in.Has(name) {
		return aws.Int32(int32(in.Int(name)))
	}
	return aws.Int32(-1)
}

func (s *Session) authorize(c *table.Call, egress bool) ([]types.SecurityGroupRule, error) {
	permission := types.IpPermission{
		IpProtocol: given(c.In, "ipProtocol"), FromPort: port(c.In, "fromPort"), ToPort: port(c.In, "toPort"),
	}
	words := given(c.In, "description")
	switch {
	case c.In.Has("cidrIpv4"):
		permission.IpRanges = []types.IpRange{{CidrIp: given(c.In, "cidrIpv4"), Description: words}}
	case c.In.Has("cidrIpv6"):
		permission.Ipv6Ranges = []types.Ipv6Range{{CidrIpv6: given(c.In, "cidrIpv6"), Description: words}}
	case c.In.Has("prefixListId"):
		permission.PrefixListIds = []types.PrefixListId{{PrefixListId: given(c.In, "prefixListId"), Description: words}}
	default:
		permission.UserIdGroupPairs = []types.UserIdGroupPair{
			{GroupId: given(c.In, "referencedSecurityGroupId"), Description: words},
		}
	}
	group, permissions := given(c.In, "securityGroupId"), []types.IpPermission{permission}
	tags := specification(types.ResourceTypeSecurityGroupRule, c.In.Map("tagsAll"))
	var rules []types.SecurityGroupRule
	err := eventually(c, missing("InvalidGroup.NotFound"), func() error {
		if egress {
			made, err := s.ec2.AuthorizeSecurityGroupEgress(c, &ec2.AuthorizeSecurityGroupEgressInput{
				GroupId: group, IpPermissions: permissions, TagSpecifications: tags,
			})
			if err == nil {
				rules = made.SecurityGroupRules
			}
			return err
		}
		made, err := s.ec2.AuthorizeSecurityGroupIngress(c, &ec2.AuthorizeSecurityGroupIngressInput{
			GroupId: group, IpPermissions: permissions, TagSpecifications: tags,
		})
		if err == nil {
			rules = made.SecurityGroupRules
		}
		return err
	})
	return rules, err
}

func (s *Session) readRule(c *table.Call) (table.Values, error) {
	found, err := s.ec2.DescribeSecurityGroupRules(c, &ec2.DescribeSecurityGroupRulesInput{SecurityGroupRuleIds: []string{c.ID}})
	if has(err, "InvalidSecurityGroupRuleId.NotFound") || (err == nil && len(found.SecurityGroupRules) == 0) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	actual := found.SecurityGroupRules[0]
	state := table.Values{
		"securityGroupId": text(actual.GroupId), "ipProtocol": text(actual.IpProtocol), "cidrIpv4": text(actual.CidrIpv4),
		"cidrIpv6": text(actual.CidrIpv6), "prefixListId": text(actual.PrefixListId), "description": text(actual.Description),
		"fromPort": nil, "toPort": nil, "referencedSecurityGroupId": nil, "securityGroupRuleId": c.ID, "region": s.region,
		"tagsAll": tagsOf(actual.Tags), "arn": s.arn("ec2", aws.ToString(actual.GroupOwnerId), "security-group-rule/"+c.ID),
	}
	// All ports are -1 in the API, and left out by programs.
	for name, value := range map[string]*int32{"fromPort": actual.FromPort, "toPort": actual.ToPort} {
		if value != nil && (*value != -1 || c.In.Has(name)) {
			state[name] = float64(*value)
		}
	}
	if actual.ReferencedGroupInfo != nil {
		state["referencedSecurityGroupId"] = text(actual.ReferencedGroupInfo.GroupId)
	}
	return state, nil
}
