package service

import (
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"aether.dev/engine/aws/table"
)

func (s *Session) routeResources() []*table.Resource {
	return []*table.Resource{s.routeTable(), s.route(), s.routeAssociation()}
}

var lineFields = table.Fields{
	"cidrBlock":          {Kind: table.String},
	"ipv6CidrBlock":      {Kind: table.String},
	"gatewayId":          {Kind: table.String},
	"natGatewayId":       {Kind: table.String},
	"networkInterfaceId": {Kind: table.String},
}

// routeTable can have its routes inside, or leave them to Route resources; not both.
func (s *Session) routeTable() *table.Resource {
	resource := &table.Resource{
		Token: "ec2/routeTable:RouteTable", Tagged: true,
		Fields: withRegion(table.Fields{
			"vpcId":   {Kind: table.String, Required: true, Replace: true},
			"routes":  {Kind: table.Objects, Computed: true, Type: "ec2/RouteTableRoute", Elem: lineFields},
			"arn":     {Kind: table.String, Output: true},
			"ownerId": {Kind: table.String, Output: true},
		}),
	}
	lines := func(c *table.Call, id string) error {
		kept := map[string]bool{}
		for _, line := range c.In.Objects("routes") {
			kept[line.Str("cidrBlock")+line.Str("ipv6CidrBlock")] = true
			if err := s.putRoute(c, id, line.Str("cidrBlock"), line.Str("ipv6CidrBlock"), line); err != nil {
				return err
			}
		}
		for _, line := range c.OldIn.Objects("routes") {
			if kept[line.Str("cidrBlock")+line.Str("ipv6CidrBlock")] {
				continue
			}
			if err := s.dropRoute(c, id, line.Str("cidrBlock"), line.Str("ipv6CidrBlock")); err != nil {
				return err
			}
		}
		return nil
	}
	resource.Create = func(c *table.Call) (string, error) {
		made, err := s.ec2.CreateRouteTable(c, &ec2.CreateRouteTableInput{
			VpcId:             given(c.In, "vpcId"),
			TagSpecifications: specification(types.ResourceTypeRouteTable, c.In.Map("tagsAll")),
		})
		if err != nil {
			return "", err
		}
		id := aws.ToString(made.RouteTable.RouteTableId)
		return id, lines(c, id)
	}
	resource.Read = func(c *table.Call) (table.Values, error) {
		actual, err := s.findTable(c, c.ID)
		if actual == nil || err != nil {
			return nil, err
		}
		state := table.Values{
			"vpcId": text(actual.VpcId), "ownerId": text(actual.OwnerId), "region": s.region, "tagsAll": tagsOf(actual.Tags),
			"arn": s.arn("ec2", aws.ToString(actual.OwnerId), "route-table/"+c.ID),
		}
		list := []any{}
		for _, route := range actual.Routes {
			if aws.ToString(route.GatewayId) == "local" {
				continue
			}
			line := map[string]any{}
			for name, value := range map[string]*string{
				"cidrBlock": route.DestinationCidrBlock, "ipv6CidrBlock": route.DestinationIpv6CidrBlock,
				"gatewayId": route.GatewayId, "natGatewayId": route.NatGatewayId, "networkInterfaceId": route.NetworkInterfaceId,
			} {
				if aws.ToString(value) != "" {
					line[name] = *value
				}
			}
			list = append(list, line)
		}
		state["routes"] = list
		return state, nil
	}
	resource.Update = func(c *table.Call) error {
		if c.Changed(resource, "routes") {
			if err := lines(c, c.ID); err != nil {
				return err
			}
		}
		return s.updateTags(c, c, c.ID)
	}
	resource.Delete = func(c *table.Call) error {
		return gone(eventually(c, missing("DependencyViolation"), func() error {
			_, err := s.ec2.DeleteRouteTable(c, &ec2.DeleteRouteTableInput{RouteTableId: &c.ID})
			return err
		}), "InvalidRouteTableID.NotFound")
	}
	return resource
}

func (s *Session) findTable(c *table.Call, id string) (*types.RouteTable, error) {
	found, err := s.ec2.DescribeRouteTables(c, &ec2.DescribeRouteTablesInput{RouteTableIds: []string{id}})
	if has(err, "InvalidRouteTableID.NotFound") || (err == nil && len(found.RouteTables) == 0) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &found.RouteTables[0], nil
}

// putRoute makes the route, or points the one that is there to another target.
func (s *Session) putRoute(c *table.Call, id, ipv4, ipv6 string, target table.Values) error {
	destination := func(value string) *string {
		if value == "" {
			return nil
		}
		return &value
	}
	err := eventually(c, missing("InvalidGatewayID.NotFound", "InvalidRouteTableID.NotFound"), func() error {
		_, err := s.ec2.CreateRoute(c, &ec2.CreateRouteInput{
			RouteTableId: &id, DestinationCidrBlock: destination(ipv4), DestinationIpv6CidrBlock: destination(ipv6),
			GatewayId: given(target, "gatewayId"), NatGatewayId: given(target, "natGatewayId"),
			NetworkInterfaceId: given(target, "networkInterfaceId"),
		})
		return err
	})
	if !has(err, "RouteAlreadyExists") {
		return err
	}
	_, err = s.ec2.ReplaceRoute(c, &ec2.ReplaceRouteInput{
		RouteTableId: &id, DestinationCidrBlock: destination(ipv4), DestinationIpv6CidrBlock: destination(ipv6),
		GatewayId: given(target, "gatewayId"), NatGatewayId: given(target, "natGatewayId"),
		NetworkInterfaceId: given(target, "networkInterfaceId"),
	})
	return err
}

func (s *Session) dropRoute(c *table.Call, id, ipv4, ipv6 string) error {
	input := &ec2.DeleteRouteInput{RouteTableId: &id}
	if ipv4 != "" {
		input.DestinationCidrBlock = &ipv4
	} else {
		input.DestinationIpv6CidrBlock = &ipv6
	}
	_, err := s.ec2.DeleteRoute(c, input)
	return gone(err, "InvalidRoute.NotFound", "InvalidRouteTableID.NotFound")
}

func (s *Session) route() *table.Resource {
	resource := &table.Resource{
		Token: "ec2/route:Route",
		Fields: withRegion(table.Fields{
			"routeTableId":             {Kind: table.String, Required: true, Replace: true},
			"destinationCidrBlock":     {Kind: table.String, Replace: true},
			"destinationIpv6CidrBlock": {Kind: table.String, Replace: true},
			"gatewayId":                {Kind: table.String},
			"natGatewayId":             {Kind: table.String},
			"networkInterfaceId":       {Kind: table.String, Computed: true},
			"origin":                   {Kind: table.String, Output: true},
			"state":                    {Kind: table.String, Output: true},
		}),
	}
	put := func(c *table.Call) error {
		return s.putRoute(c, c.In.Str("routeTableId"), c.In.Str("destinationCidrBlock"),
			c.In.Str("destinationIpv6CidrBlock"), c.In)
	}
	resource.Create = func(c *table.Call) (string, error) {
		id := c.In.Str("routeTableId") + "_" + c.In.Str("destinationCidrBlock") + c.In.Str("destinationIpv6CidrBlock")
		if err := put(c); err != nil {
			return "", err
		}
		return id, nil
	}
	resource.Read = func(c *table.Call) (table.Values, error) {
		tableID, destination, _ := strings.Cut(c.ID, "_")
		actual, err := s.findTable(c, tableID)
		if actual == nil || err != nil {
			return nil, err
		}
		for _, route := range actual.Routes {
			if aws.ToString(route.DestinationCidrBlock) != destination && aws.ToString(route.DestinationIpv6CidrBlock) != destination {
				continue
			}
			return table.Values{
				"routeTableId": tableID, "destinationCidrBlock": text(route.DestinationCidrBlock), "region": s.region,
				"destinationIpv6CidrBlock": text(route.DestinationIpv6CidrBlock), "gatewayId": text(route.GatewayId),
				"natGatewayId": text(route.NatGatewayId), "networkInterfaceId": text(route.NetworkInterfaceId),
				"origin": string(route.Origin), "state": string(route.State),
			}, nil
		}
		return nil, nil
	}
	resource.Update = put
	resource.Delete = func(c *table.Call) error {
		return s.dropRoute(c, c.Old.Str("routeTableId"), c.Old.Str("destinationCidrBlock"), c.Old.Str("destinationIpv6CidrBlock"))
	}
	return resource
}

func (s *Session) routeAssociation() *table.Resource {
	resource := &table.Resource{
		Token: "ec2/routeTableAssociation:RouteTableAssociation",
		Fields: withRegion(table.Fields{
			"routeTableId": {Kind: table.String, Required: true},
			"subnetId":     {Kind: table.String, Replace: true},
			"gatewayId":    {Kind: table.String, Replace: true},
		}),
	}
	resource.Create = func(c *table.Call) (string, error) {
		made, err := s.ec2.AssociateRouteTable(c, &ec2.AssociateRouteTableInput{
			RouteTableId: given(c.In, "routeTableId"), SubnetId: given(c.In, "subnetId"), GatewayId: given(c.In, "gatewayId"),
		})
		if err != nil {
			return "", err
		}
		return aws.ToString(made.AssociationId), nil
	}
	resource.Read = func(c *table.Call) (table.Values, error) {
		tableID, association, err := s.findAssociation(c)
		if association == nil || err != nil {
			return nil, err
		}
		return table.Values{
			"routeTableId": tableID, "subnetId": text(association.SubnetId), "gatewayId": text(association.GatewayId),
			"region": s.region,
		}, nil
	}
	resource.Update = func(c *table.Call) error {
		_, association, err := s.findAssociation(c)
		if err == nil && association != nil {
			_, err = s.ec2.ReplaceRouteTableAssociation(c, &ec2.ReplaceRouteTableAssociationInput{
				AssociationId: association.RouteTableAssociationId, RouteTableId: given(c.In, "routeTableId"),
			})
		}
		return err
	}
	resource.Delete = func(c *table.Call) error {
		_, association, err := s.findAssociation(c)
		if err == nil && association != nil {
			_, err = s.ec2.DisassociateRouteTable(c, &ec2.DisassociateRouteTableInput{
				AssociationId: association.RouteTableAssociationId,
			})
		}
		return gone(err, "InvalidAssociationID.NotFound")
	}
	return resource
}

// findAssociation looks by id, then by what is associated: another table gives the association another id, which an
// update cannot give to the resource.
func (s *Session) findAssociation(c *table.Call) (tableID string, association *types.RouteTableAssociation, err error) {
	filters := []types.Filter{filter("association.route-table-association-id", c.ID)}
	if c.Old.Has("subnetId") {
		filters = append(filters, filter("association.subnet-id", c.Old.Str("subnetId")))
	} else if c.Old.Has("gatewayId") {
		filters = append(filters, filter("association.gateway-id", c.Old.Str("gatewayId")))
	}
	for _, one := range filters {
		found, err := s.ec2.DescribeRouteTables(c, &ec2.DescribeRouteTablesInput{Filters: []types.Filter{one}})
		if err != nil {
			return "", nil, err
		}
		for _, actual := range found.RouteTables {
			for _, association := range actual.Associations {
				for _, value := range []*string{association.RouteTableAssociationId, association.SubnetId, association.GatewayId} {
					if aws.ToString(value) == one.Values[0] {
						return aws.ToString(actual.RouteTableId), &association, nil
					}
				}
			}
		}
	}
	return "", nil, nil
}
