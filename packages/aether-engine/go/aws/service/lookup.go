package service

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/route53"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"aether.dev/engine/aws/table"
)

var (
	one  = func() *table.Field { return &table.Field{Kind: table.String} }
	many = func() *table.Field { return &table.Field{Kind: table.Strings} }
	flag = func() *table.Field { return &table.Field{Kind: table.Bool} }
)

// Functions are the look-ups that the fake has.
func (s *Session) Functions() []*table.Function {
	filters := &table.Field{Kind: table.Objects, Type: "ec2/getAmiFilter", Elem: table.Fields{
		"name": {Kind: table.String, Required: true}, "values": {Kind: table.Strings, Required: true},
	}}
	return []*table.Function{
		{
			Token: "index/getCallerIdentity:getCallerIdentity", Inputs: table.Fields{"id": one()},
			Outputs: table.Fields{"id": one(), "accountId": one(), "arn": one(), "userId": one()},
			Call:    s.callerIdentity,
		},
		{
			Token: "index/getRegion:getRegion", Inputs: table.Fields{"id": one(), "region": one(), "name": one(), "endpoint": one()},
			Outputs: table.Fields{"id": one(), "name": one(), "region": one(), "endpoint": one(), "description": one()},
			Call:    s.currentRegion,
		},
		{
			Token: "ec2/getAmi:getAmi",
			Inputs: table.Fields{
				"owners": many(), "filters": filters, "mostRecent": flag(), "nameRegex": one(), "region": one(), "includeDeprecated": flag(),
			},
			Outputs: table.Fields{
				"id": one(), "imageId": one(), "name": one(), "architecture": one(), "creationDate": one(), "description": one(),
				"ownerId": one(), "rootDeviceName": one(), "state": one(), "arn": one(), "virtualizationType": one(),
			},
			Call: s.findImage,
		},
		{
			Token: "ssm/getParameter:getParameter",
			Inputs: table.Fields{
				"name": {Kind: table.String, Required: true}, "withDecryption": flag(), "region": one(),
			},
			Outputs: table.Fields{
				"id": one(), "name": one(), "arn": one(), "type": one(), "version": {Kind: table.Int}, "insecureValue": one(),
				"value": {Kind: table.String, Secret: true}, "withDecryption": flag(), "region": one(),
			},
			Call: s.lookParameter,
		},
		{
			Token:  "route53/getZone:getZone",
			Inputs: table.Fields{"name": one(), "zoneId": one(), "privateZone": flag()},
			Outputs: table.Fields{
				"id": one(), "zoneId": one(), "name": one(), "arn": one(), "comment": one(), "nameServers": many(),
				"primaryNameServer": one(), "privateZone": flag(), "callerReference": one(), "resourceRecordSetCount": {Kind: table.Int},
			},
			Call: s.lookZone,
		},
	}
}

func (s *Session) callerIdentity(ctx context.Context, _ table.Values) (table.Values, error) {
	found, err := s.sts.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return nil, err
	}
	account := aws.ToString(found.Account)
	return table.Values{"id": account, "accountId": account, "arn": text(found.Arn), "userId": text(found.UserId)}, nil
}

func (s *Session) currentRegion(context.Context, table.Values) (table.Values, error) {
	return table.Values{
		"id": s.region, "name": s.region, "region": s.region, "endpoint": "ec2." + s.region + ".amazonaws.com", "description": s.region,
	}, nil
}

func (s *Session) findImage(ctx context.Context, in table.Values) (table.Values, error) {
	input := &ec2.DescribeImagesInput{Owners: in.Strs("owners"), IncludeDeprecated: aws.Bool(in.Bool("includeDeprecated"))}
	for _, one := range in.Objects("filters") {
		input.Filters = append(input.Filters, filter(one.Str("name"), one.Strs("values")...))
	}
	found, err := s.ec2.DescribeImages(ctx, input)
	if err != nil {
		return nil, err
	}
	images := found.Images
	switch {
	case len(images) == 0:
		return nil, errors.New("no image matches: change the filters or the owners")
	case len(images) > 1 && !in.Bool("mostRecent"):
		return nil, fmt.Errorf("%d images match: narrow the filters, or set mostRecent", len(images))
	}
	image := slices.MaxFunc(images, func(a, b types.Image) int {
		return strings.Compare(aws.ToString(a.CreationDate), aws.ToString(b.CreationDate))
	})
	id := aws.ToString(image.ImageId)
	return table.Values{
		"id": id, "imageId": id, "name": text(image.Name), "architecture": string(image.Architecture),
		"creationDate": text(image.CreationDate), "description": text(image.Description), "ownerId": text(image.OwnerId),
		"rootDeviceName": text(image.RootDeviceName), "state": string(image.State), "arn": s.arn("ec2", "", "image/"+id),
		"virtualizationType": string(image.VirtualizationType),
	}, nil
}

func (s *Session) lookParameter(ctx context.Context, in table.Values) (table.Values, error) {
	decrypt := !in.Has("withDecryption") || in.Bool("withDecryption")
	found, err := s.ssm.GetParameter(ctx, &ssm.GetParameterInput{Name: given(in, "name"), WithDecryption: &decrypt})
	if err != nil {
		return nil, err
	}
	actual := found.Parameter
	out := table.Values{
		"id": text(actual.Name), "name": text(actual.Name), "arn": text(actual.ARN), "type": string(actual.Type),
		"version": float64(actual.Version), "value": text(actual.Value), "withDecryption": decrypt, "region": s.region,
		"insecureValue": "",
	}
	if actual.Type != "SecureString" {
		out["insecureValue"] = text(actual.Value)
	}
	return out, nil
}

func (s *Session) lookZone(ctx context.Context, in table.Values) (table.Values, error) {
	id := in.Str("zoneId")
	if id == "" {
		matching := []string{}
		pages := route53.NewListHostedZonesPaginator(s.route53, &route53.ListHostedZonesInput{})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				return nil, err
			}
			for _, zone := range page.HostedZones {
				private := zone.Config != nil && zone.Config.PrivateZone
				if sameName(aws.ToString(zone.Name), in.Str("name")) && private == in.Bool("privateZone") {
					matching = append(matching, bareZone(zone.Id))
				}
			}
		}
		if len(matching) != 1 {
			return nil, fmt.Errorf("%d zones are called %q: exactly one must be", len(matching), in.Str("name"))
		}
		id = matching[0]
	}
	found, err := s.route53.GetHostedZone(ctx, &route53.GetHostedZoneInput{Id: &id})
	if err != nil {
		return nil, err
	}
	out := table.Values{
		"id": id, "zoneId": id, "name": plainName(aws.ToString(found.HostedZone.Name)), "arn": "arn:aws:route53:::hostedzone/" + id,
		"callerReference": text(found.HostedZone.CallerReference), "nameServers": []any{}, "privateZone": false,
		"resourceRecordSetCount": float64(aws.ToInt64(found.HostedZone.ResourceRecordSetCount)),
	}
	if found.HostedZone.Config != nil {
		out["comment"], out["privateZone"] = text(found.HostedZone.Config.Comment), found.HostedZone.Config.PrivateZone
	}
	if found.DelegationSet != nil && len(found.DelegationSet.NameServers) > 0 {
		out["nameServers"] = table.List(found.DelegationSet.NameServers)
		out["primaryNameServer"] = found.DelegationSet.NameServers[0]
	}
	return out, nil
}

func dashed(address string) string { return strings.ReplaceAll(address, ".", "-") }

// dnsSuffix: the oldest region has a name of its own.
func (s *Session) dnsSuffix(kind string) string {
	if s.region == "us-east-1" {
		return kind + "-1"
	}
	return s.region + "." + kind
}

func privateDNS(region, address string) any {
	if address == "" {
		return nil
	}
	if region == "us-east-1" {
		return "ip-" + dashed(address) + ".ec2.internal"
	}
	return "ip-" + dashed(address) + "." + region + ".compute.internal"
}
