package service

import (
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"aether.dev/engine/aws/table"
)

func (s *Session) subnet() *table.Resource {
	subnet := &table.Resource{
		Token: "ec2/subnet:Subnet", Tagged: true,
		Fields: withRegion(table.Fields{
			"vpcId":                       {Kind: table.String, Required: true, Replace: true},
			"cidrBlock":                   {Kind: table.String, Replace: true},
			"availabilityZone":            {Kind: table.String, Computed: true, Replace: true},
			"availabilityZoneId":          {Kind: table.String, Computed: true, Replace: true},
			"ipv6CidrBlock":               {Kind: table.String},
			"assignIpv6AddressOnCreation": {Kind: table.Bool, Default: false},
			"mapPublicIpOnLaunch":         {Kind: table.Bool, Default: false},
			"arn":                         {Kind: table.String, Output: true},
			"ownerId":                     {Kind: table.String, Output: true},
			"ipv6CidrBlockAssociationId":  {Kind: table.String, Output: true},
		}),
		ReplaceIf: func(field string, oldIn, _, _ table.Values) bool {
			return field == "ipv6CidrBlock" && oldIn.Bool("assignIpv6AddressOnCreation")
		},
		Read: s.readSubnet,
	}
	subnet.Create = func(c *table.Call) (string, error) {
		var made *ec2.CreateSubnetOutput
		err := eventually(c, missing("InvalidVpcID.NotFound"), func() (err error) {
			made, err = s.ec2.CreateSubnet(c, &ec2.CreateSubnetInput{
				VpcId: given(c.In, "vpcId"), CidrBlock: given(c.In, "cidrBlock"),
				AvailabilityZone: given(c.In, "availabilityZone"), AvailabilityZoneId: given(c.In, "availabilityZoneId"),
				Ipv6CidrBlock:     given(c.In, "ipv6CidrBlock"),
				TagSpecifications: specification(types.ResourceTypeSubnet, c.In.Map("tagsAll")),
			})
			return err
		})
		if err != nil {
			return "", err
		}
		id := aws.ToString(made.Subnet.SubnetId)
		return id, eventually(c, missing("InvalidSubnetID.NotFound"), func() error { return s.subnetAttributes(c, subnet, id) })
	}
	subnet.Update = func(c *table.Call) error {
		if c.Changed(subnet, "ipv6CidrBlock") {
			if err := s.subnetIpv6(c); err != nil {
				return err
			}
		}
		if err := s.subnetAttributes(c, subnet, c.ID); err != nil {
			return err
		}
		return s.updateTags(c, c, c.ID)
	}
	subnet.Delete = func(c *table.Call) error {
		return gone(eventually(c, missing("DependencyViolation"), func() error {
			_, err := s.ec2.DeleteSubnet(c, &ec2.DeleteSubnetInput{SubnetId: &c.ID})
			return err
		}), "InvalidSubnetID.NotFound")
	}
	return subnet
}

// subnetAttributes changes one attribute a call: AWS refuses two.
func (s *Session) subnetAttributes(c *table.Call, subnet *table.Resource, id string) error {
	changed := func(name string) bool {
		return c.Changed(subnet, name) && (c.In.Bool(name) || c.OldIn.Bool(name))
	}
	var failures error
	if changed("mapPublicIpOnLaunch") {
		_, err := s.ec2.ModifySubnetAttribute(c, &ec2.ModifySubnetAttributeInput{
			SubnetId: &id, MapPublicIpOnLaunch: &types.AttributeBooleanValue{Value: aws.Bool(c.In.Bool("mapPublicIpOnLaunch"))},
		})
		failures = errors.Join(failures, err)
	}
	if changed("assignIpv6AddressOnCreation") {
		_, err := s.ec2.ModifySubnetAttribute(c, &ec2.ModifySubnetAttributeInput{
			SubnetId: &id, AssignIpv6AddressOnCreation: &types.AttributeBooleanValue{
				Value: aws.Bool(c.In.Bool("assignIpv6AddressOnCreation")),
			},
		})
		failures = errors.Join(failures, err)
	}
	return failures
}

func (s *Session) subnetIpv6(c *table.Call) error {
	if c.Old.Has("ipv6CidrBlockAssociationId") {
		if _, err := s.ec2.DisassociateSubnetCidrBlock(c, &ec2.DisassociateSubnetCidrBlockInput{
			AssociationId: given(c.Old, "ipv6CidrBlockAssociationId"),
		}); err != nil {
			return err
		}
	}
	if !c.In.Has("ipv6CidrBlock") {
		return nil
	}
	_, err := s.ec2.AssociateSubnetCidrBlock(c, &ec2.AssociateSubnetCidrBlockInput{
		SubnetId: &c.ID, Ipv6CidrBlock: given(c.In, "ipv6CidrBlock"),
	})
	return err
}

func (s *Session) readSubnet(c *table.Call) (table.Values, error) {
	found, err := s.ec2.DescribeSubnets(c, &ec2.DescribeSubnetsInput{SubnetIds: []string{c.ID}})
	if has(err, "InvalidSubnetID.NotFound") || (err == nil && len(found.Subnets) == 0) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	actual := found.Subnets[0]
	state := table.Values{
		"vpcId": text(actual.VpcId), "cidrBlock": text(actual.CidrBlock), "availabilityZone": text(actual.AvailabilityZone),
		"availabilityZoneId": text(actual.AvailabilityZoneId), "ownerId": text(actual.OwnerId), "region": s.region,
		"assignIpv6AddressOnCreation": aws.ToBool(actual.AssignIpv6AddressOnCreation),
		"mapPublicIpOnLaunch":         aws.ToBool(actual.MapPublicIpOnLaunch),
		"arn":                         s.arn("ec2", aws.ToString(actual.OwnerId), "subnet/"+c.ID),
		"tagsAll":                     tagsOf(actual.Tags), "ipv6CidrBlock": nil, "ipv6CidrBlockAssociationId": nil,
	}
	for _, block := range actual.Ipv6CidrBlockAssociationSet {
		if status := block.Ipv6CidrBlockState; status == nil || !leaving(string(status.State)) {
			state["ipv6CidrBlock"], state["ipv6CidrBlockAssociationId"] = text(block.Ipv6CidrBlock), text(block.AssociationId)
		}
	}
	return state, nil
}
