package service

import (
	"errors"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"aether.dev/engine/aws/table"
)

func (s *Session) networkResources() []*table.Resource {
	vpc := &table.Resource{
		Token: "ec2/vpc:Vpc", Tagged: true,
		Fields: withRegion(table.Fields{
			"cidrBlock":                    {Kind: table.String, Computed: true, Replace: true},
			"instanceTenancy":              {Kind: table.String, Default: "default"},
			"enableDnsSupport":             {Kind: table.Bool, Default: true},
			"enableDnsHostnames":           {Kind: table.Bool, Computed: true},
			"assignGeneratedIpv6CidrBlock": {Kind: table.Bool},
			"ipv6CidrBlock":                {Kind: table.String, Output: true},
			"ipv6AssociationId":            {Kind: table.String, Output: true},
			"arn":                          {Kind: table.String, Output: true},
			"ownerId":                      {Kind: table.String, Output: true},
			"mainRouteTableId":             {Kind: table.String, Output: true},
			"defaultRouteTableId":          {Kind: table.String, Output: true},
			"defaultSecurityGroupId":       {Kind: table.String, Output: true},
			"defaultNetworkAclId":          {Kind: table.String, Output: true},
			"dhcpOptionsId":                {Kind: table.String, Output: true},
		}),
		Follows: map[string][]string{"assignGeneratedIpv6CidrBlock": {"ipv6CidrBlock", "ipv6AssociationId"}},
		ReplaceIf: func(field string, oldIn, _, in table.Values) bool {
			return field == "instanceTenancy" && (oldIn.Str(field) != "dedicated" || in.Str(field) != "default")
		},
		Read: s.readVpc,
	}
	vpc.Create = func(c *table.Call) (string, error) {
		made, err := s.ec2.CreateVpc(c, &ec2.CreateVpcInput{
			CidrBlock:                   given(c.In, "cidrBlock"),
			InstanceTenancy:             types.Tenancy(c.In.Str("instanceTenancy")),
			AmazonProvidedIpv6CidrBlock: aws.Bool(c.In.Bool("assignGeneratedIpv6CidrBlock")),
			TagSpecifications:           specification(types.ResourceTypeVpc, c.In.Map("tagsAll")),
		})
		if err != nil {
			return "", err
		}
		id := aws.ToString(made.Vpc.VpcId)
		return id, eventually(c, missing("InvalidVpcID.NotFound"), func() error { return s.vpcAttributes(c, vpc, id) })
	}
	vpc.Update = func(c *table.Call) error {
		if err := s.vpcAttributes(c, vpc, c.ID); err != nil {
			return err
		}
		if c.Changed(vpc, "assignGeneratedIpv6CidrBlock") {
			if err := s.vpcIpv6(c); err != nil {
				return err
			}
		}
		if c.Changed(vpc, "instanceTenancy") {
			if _, err := s.ec2.ModifyVpcTenancy(c, &ec2.ModifyVpcTenancyInput{
				VpcId: &c.ID, InstanceTenancy: types.VpcTenancy(c.In.Str("instanceTenancy")),
			}); err != nil {
				return err
			}
		}
		return s.updateTags(c, c, c.ID)
	}
	vpc.Delete = func(c *table.Call) error {
		return gone(eventually(c, missing("DependencyViolation"), func() error {
			_, err := s.ec2.DeleteVpc(c, &ec2.DeleteVpcInput{VpcId: &c.ID})
			return err
		}), "InvalidVpcID.NotFound")
	}
	return []*table.Resource{vpc, s.subnet(), s.internetGateway()}
}

func missing(codes ...string) func(error) bool {
	return func(err error) bool { return has(err, codes...) }
}

func (s *Session) vpcAttributes(c *table.Call, vpc *table.Resource, id string) error {
	if c.Changed(vpc, "enableDnsSupport") {
		if _, err := s.ec2.ModifyVpcAttribute(c, &ec2.ModifyVpcAttributeInput{
			VpcId: &id, EnableDnsSupport: &types.AttributeBooleanValue{Value: aws.Bool(c.In.Bool("enableDnsSupport"))},
		}); err != nil {
			return err
		}
	}
	if c.Changed(vpc, "enableDnsHostnames") && c.In.Has("enableDnsHostnames") {
		_, err := s.ec2.ModifyVpcAttribute(c, &ec2.ModifyVpcAttributeInput{
			VpcId: &id, EnableDnsHostnames: &types.AttributeBooleanValue{Value: aws.Bool(c.In.Bool("enableDnsHostnames"))},
		})
		return err
	}
	return nil
}

func (s *Session) vpcIpv6(c *table.Call) error {
	if c.In.Bool("assignGeneratedIpv6CidrBlock") {
		_, err := s.ec2.AssociateVpcCidrBlock(c, &ec2.AssociateVpcCidrBlockInput{
			VpcId: &c.ID, AmazonProvidedIpv6CidrBlock: aws.Bool(true),
		})
		return err
	}
	_, err := s.ec2.DisassociateVpcCidrBlock(c, &ec2.DisassociateVpcCidrBlockInput{
		AssociationId: given(c.Old, "ipv6AssociationId"),
	})
	return err
}

func (s *Session) readVpc(c *table.Call) (table.Values, error) {
	found, err := s.ec2.DescribeVpcs(c, &ec2.DescribeVpcsInput{VpcIds: []string{c.ID}})
	if has(err, "InvalidVpcID.NotFound") || (err == nil && len(found.Vpcs) == 0) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	vpc := found.Vpcs[0]
	state := table.Values{
		"cidrBlock": text(vpc.CidrBlock), "instanceTenancy": string(vpc.InstanceTenancy),
		"dhcpOptionsId": text(vpc.DhcpOptionsId), "ownerId": text(vpc.OwnerId), "region": s.region,
		"arn":     s.arn("ec2", aws.ToString(vpc.OwnerId), "vpc/"+c.ID),
		"tagsAll": tagsOf(vpc.Tags), "assignGeneratedIpv6CidrBlock": false, "ipv6CidrBlock": nil, "ipv6AssociationId": nil,
	}
	for _, block := range vpc.Ipv6CidrBlockAssociationSet {
		if status := block.Ipv6CidrBlockState; status == nil || !leaving(string(status.State)) {
			state["assignGeneratedIpv6CidrBlock"] = true
			state["ipv6CidrBlock"], state["ipv6AssociationId"] = text(block.Ipv6CidrBlock), text(block.AssociationId)
		}
	}
	for name, attribute := range map[string]types.VpcAttributeName{
		"enableDnsSupport": types.VpcAttributeNameEnableDnsSupport, "enableDnsHostnames": types.VpcAttributeNameEnableDnsHostnames,
	} {
		answer, err := s.ec2.DescribeVpcAttribute(c, &ec2.DescribeVpcAttributeInput{VpcId: &c.ID, Attribute: attribute})
		if err != nil {
			return nil, err
		}
		for _, value := range []*types.AttributeBooleanValue{answer.EnableDnsSupport, answer.EnableDnsHostnames} {
			if value != nil {
				state[name] = aws.ToBool(value.Value)
			}
		}
	}
	return state, s.vpcDefaults(c, state)
}

// leaving are the states of an address block on its way out, or that never came.
func leaving(state string) bool {
	return slices.Contains([]string{"disassociating", "disassociated", "failing", "failed"}, state)
}

// vpcDefaults finds what AWS makes together with a VPC.
func (s *Session) vpcDefaults(c *table.Call, state table.Values) error {
	inVpc := filter("vpc-id", c.ID)
	tables, err := s.ec2.DescribeRouteTables(c, &ec2.DescribeRouteTablesInput{
		Filters: []types.Filter{inVpc, filter("association.main", "true")},
	})
	if err == nil && len(tables.RouteTables) > 0 {
		id := text(tables.RouteTables[0].RouteTableId)
		state["mainRouteTableId"], state["defaultRouteTableId"] = id, id
	}
	groups, groupErr := s.ec2.DescribeSecurityGroups(c, &ec2.DescribeSecurityGroupsInput{
		Filters: []types.Filter{inVpc, filter("group-name", "default")},
	})
	if groupErr == nil && len(groups.SecurityGroups) > 0 {
		state["defaultSecurityGroupId"] = text(groups.SecurityGroups[0].GroupId)
	}
	acls, aclErr := s.ec2.DescribeNetworkAcls(c, &ec2.DescribeNetworkAclsInput{
		Filters: []types.Filter{inVpc, filter("default", "true")},
	})
	if aclErr == nil && len(acls.NetworkAcls) > 0 {
		state["defaultNetworkAclId"] = text(acls.NetworkAcls[0].NetworkAclId)
	}
	return errors.Join(err, groupErr, aclErr)
}

func (s *Session) internetGateway() *table.Resource {
	gateway := &table.Resource{
		Token: "ec2/internetGateway:InternetGateway", Tagged: true,
		Fields: withRegion(table.Fields{
			"vpcId":   {Kind: table.String, Computed: true},
			"arn":     {Kind: table.String, Output: true},
			"ownerId": {Kind: table.String, Output: true},
		}),
	}
	attach := func(c *table.Call, id string) error {
		if !c.In.Has("vpcId") {
			return nil
		}
		return eventually(c, missing("InvalidInternetGatewayID.NotFound"), func() error {
			_, err := s.ec2.AttachInternetGateway(c, &ec2.AttachInternetGatewayInput{
				InternetGatewayId: &id, VpcId: given(c.In, "vpcId"),
			})
			return err
		})
	}
	detach := func(c *table.Call) error {
		if !c.Old.Has("vpcId") {
			return nil
		}
		// Public addresses of the VPC keep the gateway for a while after they were released.
		return gone(eventually(c, missing("DependencyViolation"), func() error {
			_, err := s.ec2.DetachInternetGateway(c, &ec2.DetachInternetGatewayInput{
				InternetGatewayId: &c.ID, VpcId: given(c.Old, "vpcId"),
			})
			return err
		}), "Gateway.NotAttached", "InvalidInternetGatewayID.NotFound", "InvalidVpcID.NotFound")
	}
	gateway.Create = func(c *table.Call) (string, error) {
		made, err := s.ec2.CreateInternetGateway(c, &ec2.CreateInternetGatewayInput{
			TagSpecifications: specification(types.ResourceTypeInternetGateway, c.In.Map("tagsAll")),
		})
		if err != nil {
			return "", err
		}
		id := aws.ToString(made.InternetGateway.InternetGatewayId)
		return id, attach(c, id)
	}
	gateway.Read = func(c *table.Call) (table.Values, error) {
		found, err := s.ec2.DescribeInternetGateways(c, &ec2.DescribeInternetGatewaysInput{InternetGatewayIds: []string{c.ID}})
		if has(err, "InvalidInternetGatewayID.NotFound") || (err == nil && len(found.InternetGateways) == 0) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		actual := found.InternetGateways[0]
		state := table.Values{
			"vpcId": nil, "ownerId": text(actual.OwnerId), "region": s.region, "tagsAll": tagsOf(actual.Tags),
			"arn": s.arn("ec2", aws.ToString(actual.OwnerId), "internet-gateway/"+c.ID),
		}
		for _, attachment := range actual.Attachments {
			state["vpcId"] = text(attachment.VpcId)
		}
		return state, nil
	}
	gateway.Update = func(c *table.Call) error {
		if c.Changed(gateway, "vpcId") {
			if err := errors.Join(detach(c), attach(c, c.ID)); err != nil {
				return fmt.Errorf("moving to another VPC: %w", err)
			}
		}
		return s.updateTags(c, c, c.ID)
	}
	gateway.Delete = func(c *table.Call) error {
		if err := detach(c); err != nil {
			return err
		}
		_, err := s.ec2.DeleteInternetGateway(c, &ec2.DeleteInternetGatewayInput{InternetGatewayId: &c.ID})
		return gone(err, "InvalidInternetGatewayID.NotFound")
	}
	return gateway
}
