package service

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"aether.dev/engine/aws/table"
)

func (s *Session) addressResources() []*table.Resource {
	return []*table.Resource{s.eip(), s.eipAssociation()}
}

func (s *Session) eip() *table.Resource {
	eip := &table.Resource{
		Token: "ec2/eip:Eip", Tagged: true,
		Fields: withRegion(table.Fields{
			"domain":                 {Kind: table.String, Computed: true, Replace: true},
			"address":                {Kind: table.String, Replace: true},
			"publicIpv4Pool":         {Kind: table.String, Computed: true, Replace: true},
			"networkBorderGroup":     {Kind: table.String, Computed: true, Replace: true},
			"instance":               {Kind: table.String, Computed: true},
			"networkInterface":       {Kind: table.String, Computed: true},
			"associateWithPrivateIp": {Kind: table.String},
			"allocationId":           {Kind: table.String, Output: true},
			"arn":                    {Kind: table.String, Output: true},
			"associationId":          {Kind: table.String, Output: true},
			"publicIp":               {Kind: table.String, Output: true},
			"publicDns":              {Kind: table.String, Output: true},
			"privateIp":              {Kind: table.String, Output: true},
			"privateDns":             {Kind: table.String, Output: true},
		}),
		Read: s.readAddress,
	}
	associate := func(c *table.Call, id string) error {
		if !c.In.Has("instance") && !c.In.Has("networkInterface") {
			return nil
		}
		_, err := s.ec2.AssociateAddress(c, &ec2.AssociateAddressInput{
			AllocationId: &id, InstanceId: given(c.In, "instance"), NetworkInterfaceId: given(c.In, "networkInterface"),
			PrivateIpAddress: given(c.In, "associateWithPrivateIp"), AllowReassociation: aws.Bool(true),
		})
		return err
	}
	eip.Create = func(c *table.Call) (string, error) {
		made, err := s.ec2.AllocateAddress(c, &ec2.AllocateAddressInput{
			Domain: types.DomainTypeVpc, Address: given(c.In, "address"), PublicIpv4Pool: given(c.In, "publicIpv4Pool"),
			NetworkBorderGroup: given(c.In, "networkBorderGroup"),
			TagSpecifications:  specification(types.ResourceTypeElasticIp, c.In.Map("tagsAll")),
		})
		if err != nil {
			return "", err
		}
		id := aws.ToString(made.AllocationId)
		return id, associate(c, id)
	}
	eip.Update = func(c *table.Call) error {
		if c.Changed(eip, "instance", "networkInterface", "associateWithPrivateIp") {
			if err := s.disassociate(c, c.Old.Str("associationId")); err != nil {
				return err
			}
			if err := associate(c, c.ID); err != nil {
				return err
			}
		}
		return s.updateTags(c, c, c.ID)
	}
	eip.Delete = func(c *table.Call) error {
		if c.OldIn.Has("instance") || c.OldIn.Has("networkInterface") {
			if err := s.disassociate(c, c.Old.Str("associationId")); err != nil {
				return err
			}
		}
		return gone(eventually(c, missing("InvalidIPAddress.InUse"), func() error {
			_, err := s.ec2.ReleaseAddress(c, &ec2.ReleaseAddressInput{AllocationId: &c.ID})
			return err
		}), "InvalidAllocationID.NotFound")
	}
	return eip
}

func (s *Session) disassociate(c *table.Call, id string) error {
	if id == "" {
		return nil
	}
	_, err := s.ec2.DisassociateAddress(c, &ec2.DisassociateAddressInput{AssociationId: &id})
	return gone(err, "InvalidAssociationID.NotFound")
}

func (s *Session) readAddress(c *table.Call) (table.Values, error) {
	found, err := s.ec2.DescribeAddresses(c, &ec2.DescribeAddressesInput{AllocationIds: []string{c.ID}})
	if has(err, "InvalidAllocationID.NotFound") || (err == nil && len(found.Addresses) == 0) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	actual := found.Addresses[0]
	owner, err := s.accountID(c)
	if err != nil {
		return nil, err
	}
	return table.Values{
		"allocationId": c.ID, "domain": string(actual.Domain), "publicIp": text(actual.PublicIp), "region": s.region,
		"publicDns":     "ec2-" + dashed(aws.ToString(actual.PublicIp)) + "." + s.dnsSuffix("compute") + ".amazonaws.com",
		"privateIp":     text(actual.PrivateIpAddress),
		"privateDns":    privateDNS(s.region, aws.ToString(actual.PrivateIpAddress)),
		"associationId": text(actual.AssociationId), "instance": text(actual.InstanceId),
		"networkInterface": text(actual.NetworkInterfaceId), "publicIpv4Pool": text(actual.PublicIpv4Pool),
		"networkBorderGroup": text(actual.NetworkBorderGroup), "tagsAll": tagsOf(actual.Tags),
		"arn": s.arn("ec2", owner, "elastic-ip/"+c.ID),
	}, nil
}

func (s *Session) eipAssociation() *table.Resource {
	return &table.Resource{
		Token: "ec2/eipAssociation:EipAssociation",
		Fields: withRegion(table.Fields{
			"allocationId":       {Kind: table.String, Computed: true, Replace: true},
			"allowReassociation": {Kind: table.Bool, Replace: true},
			"instanceId":         {Kind: table.String, Computed: true, Replace: true},
			"networkInterfaceId": {Kind: table.String, Computed: true, Replace: true},
			"privateIpAddress":   {Kind: table.String, Computed: true, Replace: true},
			"publicIp":           {Kind: table.String, Computed: true, Replace: true},
		}),
		Create: func(c *table.Call) (string, error) {
			var made *ec2.AssociateAddressOutput
			// An instance takes an address only once it runs.
			err := eventually(c, missing("InvalidInstanceID", "InvalidAllocationID.NotFound"), func() (err error) {
				made, err = s.ec2.AssociateAddress(c, &ec2.AssociateAddressInput{
					AllocationId: given(c.In, "allocationId"), InstanceId: given(c.In, "instanceId"),
					NetworkInterfaceId: given(c.In, "networkInterfaceId"), PrivateIpAddress: given(c.In, "privateIpAddress"),
					PublicIp: given(c.In, "publicIp"), AllowReassociation: aws.Bool(c.In.Bool("allowReassociation")),
				})
				return err
			})
			if err != nil {
				return "", err
			}
			return aws.ToString(made.AssociationId), nil
		},
		Read: func(c *table.Call) (table.Values, error) {
			found, err := s.ec2.DescribeAddresses(c, &ec2.DescribeAddressesInput{
				Filters: []types.Filter{filter("association-id", c.ID)},
			})
			if err != nil || len(found.Addresses) == 0 {
				return nil, err
			}
			actual := found.Addresses[0]
			return table.Values{
				"allocationId": text(actual.AllocationId), "instanceId": text(actual.InstanceId), "region": s.region,
				"networkInterfaceId": text(actual.NetworkInterfaceId), "privateIpAddress": text(actual.PrivateIpAddress),
				"publicIp": text(actual.PublicIp),
			}, nil
		},
		Delete: func(c *table.Call) error { return s.disassociate(c, c.ID) },
	}
}
