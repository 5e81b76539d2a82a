package service

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/route53"
	"github.com/aws/aws-sdk-go-v2/service/route53/types"

	"aether.dev/engine/aws/table"
)

const noSuchZone = "NoSuchHostedZone"

func (s *Session) dnsResources() []*table.Resource {
	return []*table.Resource{s.zone(), s.record()}
}

// sameName: a dot at the end and the case of letters mean nothing in DNS.
func sameName(a, b any) bool { return plainName(a.(string)) == plainName(b.(string)) }

// plainName also undoes the escapes of Route 53 (\052 is *).
func plainName(name string) string {
	return strings.ToLower(strings.TrimSuffix(strings.ReplaceAll(name, `\052`, "*"), "."))
}

func bareZone(id *string) string { return strings.TrimPrefix(aws.ToString(id), "/hostedzone/") }

func (s *Session) zone() *table.Resource {
	zone := &table.Resource{
		Token: "route53/zone:Zone", Tagged: true, Name: "name",
		Fields: table.Fields{
			"name":              {Kind: table.String, Computed: true, Replace: true, Same: sameName},
			"comment":           {Kind: table.String, Default: "Managed by Pulumi"},
			"delegationSetId":   {Kind: table.String, Replace: true},
			"forceDestroy":      {Kind: table.Bool, Default: false},
			"arn":               {Kind: table.String, Output: true},
			"nameServers":       {Kind: table.Strings, Output: true},
			"primaryNameServer": {Kind: table.String, Output: true},
			"zoneId":            {Kind: table.String, Output: true},
		},
		Read: s.readZone,
	}
	zone.Create = func(c *table.Call) (string, error) {
		made, err := s.route53.CreateHostedZone(c, &route53.CreateHostedZoneInput{
			Name: given(c.In, "name"), CallerReference: aws.String(fmt.Sprintf("aether-%d", time.Now().UnixNano())),
			DelegationSetId: given(c.In, "delegationSetId"), HostedZoneConfig: &types.HostedZoneConfig{Comment: given(c.In, "comment")},
		})
		if err != nil {
			return "", err
		}
		id := bareZone(made.HostedZone.Id)
		return id, s.tagZone(c, id)
	}
	zone.Update = func(c *table.Call) error {
		if c.Changed(zone, "comment") {
			if _, err := s.route53.UpdateHostedZoneComment(c, &route53.UpdateHostedZoneCommentInput{
				Id: &c.ID, Comment: given(c.In, "comment"),
			}); err != nil {
				return err
			}
		}
		return s.tagZone(c, c.ID)
	}
	zone.Delete = func(c *table.Call) error {
		if c.OldIn.Bool("forceDestroy") {
			if err := s.emptyZone(c); err != nil {
				return gone(err, noSuchZone)
			}
		}
		_, err := s.route53.DeleteHostedZone(c, &route53.DeleteHostedZoneInput{Id: &c.ID})
		return gone(err, noSuchZone)
	}
	return zone
}

func (s *Session) readZone(c *table.Call) (table.Values, error) {
	found, err := s.route53.GetHostedZone(c, &route53.GetHostedZoneInput{Id: &c.ID})
	if has(err, noSuchZone) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	state := table.Values{
		"name": plainName(aws.ToString(found.HostedZone.Name)), "zoneId": c.ID, "arn": "arn:aws:route53:::hostedzone/" + c.ID,
		"comment": nil, "nameServers": []any{},
	}
	if found.HostedZone.Config != nil {
		state["comment"] = text(found.HostedZone.Config.Comment)
	}
	if found.DelegationSet != nil && len(found.DelegationSet.NameServers) > 0 {
		servers := slices.Sorted(slices.Values(found.DelegationSet.NameServers))
		state["nameServers"], state["primaryNameServer"] = table.List(servers), found.DelegationSet.NameServers[0]
	}
	tags, err := s.route53.ListTagsForResource(c, &route53.ListTagsForResourceInput{
		ResourceId: &c.ID, ResourceType: types.TagResourceTypeHostedzone,
	})
	if err != nil {
		return nil, err
	}
	all := map[string]any{}
	for _, tag := range tags.ResourceTagSet.Tags {
		all[aws.ToString(tag.Key)] = aws.ToString(tag.Value)
	}
	state["tagsAll"] = all
	return state, nil
}

func (s *Session) tagZone(c *table.Call, id string) error {
	set, removed := tagChanges(c)
	if len(set) == 0 && len(removed) == 0 {
		return nil
	}
	input := &route53.ChangeTagsForResourceInput{ResourceId: &id, ResourceType: types.TagResourceTypeHostedzone, RemoveTagKeys: removed}
	for key, value := range set {
		input.AddTags = append(input.AddTags, types.Tag{Key: aws.String(key), Value: aws.String(value)})
	}
	_, err := s.route53.ChangeTagsForResource(c, input)
	return err
}

func (s *Session) emptyZone(c *table.Call) error {
	pages := route53.NewListResourceRecordSetsPaginator(s.route53, &route53.ListResourceRecordSetsInput{HostedZoneId: &c.ID})
	for pages.HasMorePages() {
		page, err := pages.NextPage(c)
		if err != nil {
			return err
		}
		for _, set := range page.ResourceRecordSets {
			if (set.Type == types.RRTypeNs || set.Type == types.RRTypeSoa) && sameName(aws.ToString(set.Name), c.Old.Str("name")) {
				continue
			}
			if err := s.changeRecord(c, c.ID, types.ChangeActionDelete, &set); err != nil {
				return err
			}
		}
	}
	return nil
}

var aliasFields = table.Fields{
	"name":                 {Kind: table.String, Required: true, Same: sameName},
	"zoneId":               {Kind: table.String, Required: true},
	"evaluateTargetHealth": {Kind: table.Bool, Required: true},
}

func (s *Session) record() *table.Resource {
	return &table.Resource{
		Token: "route53/record:Record",
		Fields: table.Fields{
			"zoneId":         {Kind: table.String, Required: true, Replace: true},
			"name":           {Kind: table.String, Required: true, Replace: true, Same: sameName},
			"type":           {Kind: table.String, Required: true, Replace: true},
			"ttl":            {Kind: table.Int},
			"records":        {Kind: table.Strings, Set: true},
			"aliases":        {Kind: table.Objects, Type: "route53/RecordAlias", Elem: aliasFields},
			"allowOverwrite": {Kind: table.Bool, Computed: true},
			"setIdentifier":  {Kind: table.String},
			"healthCheckId":  {Kind: table.String},
			"fqdn":           {Kind: table.String, Output: true},
		},
		Create: func(c *table.Call) (string, error) {
			action := types.ChangeActionCreate
			if c.In.Bool("allowOverwrite") {
				action = types.ChangeActionUpsert
			}
			if err := s.changeRecord(c, c.In.Str("zoneId"), action, s.recordSet(c, c.In)); err != nil {
				return "", err
			}
			return fmt.Sprintf("%s_%s_%s", c.In.Str("zoneId"), plainName(c.In.Str("name")), c.In.Str("type")), nil
		},
		Read: s.readRecord,
		Update: func(c *table.Call) error {
			return s.changeRecord(c, c.In.Str("zoneId"), types.ChangeActionUpsert, s.recordSet(c, c.In))
		},
		Delete: s.dropRecord,
	}
}

func (s *Session) dropRecord(c *table.Call) error {
	set, err := s.findRecord(c, c.Old.Str("zoneId"), c.Old.Str("name"), c.Old.Str("type"))
	if err != nil || set == nil {
		return gone(err, noSuchZone)
	}
	return s.changeRecord(c, c.Old.Str("zoneId"), types.ChangeActionDelete, set)
}

func (s *Session) recordSet(c *table.Call, in table.Values) *types.ResourceRecordSet {
	set := &types.ResourceRecordSet{
		Name: given(in, "name"), Type: types.RRType(in.Str("type")), SetIdentifier: given(in, "setIdentifier"),
		HealthCheckId: given(in, "healthCheckId"),
	}
	if in.Has("ttl") {
		set.TTL = aws.Int64(int64(in.Int("ttl")))
	}
	for _, value := range in.Strs("records") {
		if in.Str("type") == "TXT" && !strings.HasPrefix(value, `"`) {
			value = `"` + value + `"`
		}
		set.ResourceRecords = append(set.ResourceRecords, types.ResourceRecord{Value: aws.String(value)})
	}
	for _, alias := range in.Objects("aliases") {
		set.AliasTarget = &types.AliasTarget{
			DNSName: given(alias, "name"), HostedZoneId: given(alias, "zoneId"), EvaluateTargetHealth: alias.Bool("evaluateTargetHealth"),
		}
	}
	return set
}

// changeRecord also waits until all name servers have it.
func (s *Session) changeRecord(ctx context.Context, zone string, action types.ChangeAction, set *types.ResourceRecordSet) error {
	var made *route53.ChangeResourceRecordSetsOutput
	err := eventually(ctx, missing("PriorRequestNotComplete"), func() (err error) {
		made, err = s.route53.ChangeResourceRecordSets(ctx, &route53.ChangeResourceRecordSetsInput{
			HostedZoneId: &zone, ChangeBatch: &types.ChangeBatch{Changes: []types.Change{{Action: action, ResourceRecordSet: set}}},
		})
		return err
	})
	if err != nil || made.ChangeInfo == nil || made.ChangeInfo.Status == types.ChangeStatusInsync {
		return err
	}
	waiter := route53.NewResourceRecordSetsChangedWaiter(s.route53, func(o *route53.ResourceRecordSetsChangedWaiterOptions) {
		o.MinDelay, o.MaxDelay = time.Second, 20*time.Second
	})
	return waiter.Wait(ctx, &route53.GetChangeInput{Id: made.ChangeInfo.Id}, 30*time.Minute)
}

func (s *Session) findRecord(ctx context.Context, zone, name, kind string) (*types.ResourceRecordSet, error) {
	pages := route53.NewListResourceRecordSetsPaginator(s.route53, &route53.ListResourceRecordSetsInput{
		HostedZoneId: &zone, StartRecordName: &name, StartRecordType: types.RRType(kind),
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, set := range page.ResourceRecordSets {
			if sameName(aws.ToString(set.Name), name) && string(set.Type) == kind {
				return &set, nil
			}
			if !sameName(aws.ToString(set.Name), name) {
				return nil, nil
			}
		}
	}
	return nil, nil
}

func (s *Session) readRecord(c *table.Call) (table.Values, error) {
	where := c.Old
	if !where.Has("zoneId") {
		where = c.In
	}
	zone, name, kind := where.Str("zoneId"), where.Str("name"), where.Str("type")
	if zone == "" {
		// An import names all three: ZONE_NAME_TYPE.
		parts := strings.Split(c.ID, "_")
		if len(parts) < 3 {
			return nil, fmt.Errorf("the id of a record is ZONE_NAME_TYPE, not %q", c.ID)
		}
		zone, name, kind = parts[0], strings.Join(parts[1:len(parts)-1], "_"), parts[len(parts)-1]
	}
	if c.In.Has("type") {
		kind = c.In.Str("type")
	}
	set, err := s.findRecord(c, zone, name, kind)
	if err != nil || set == nil {
		return nil, gone(err, noSuchZone)
	}
	state := table.Values{
		"zoneId": zone, "name": plainName(aws.ToString(set.Name)), "type": string(set.Type), "fqdn": plainName(aws.ToString(set.Name)),
		"setIdentifier": text(set.SetIdentifier), "healthCheckId": text(set.HealthCheckId), "ttl": nil, "records": nil, "aliases": nil,
	}
	if set.AliasTarget != nil {
		state["aliases"] = []any{map[string]any{
			"name": plainName(aws.ToString(set.AliasTarget.DNSName)), "zoneId": aws.ToString(set.AliasTarget.HostedZoneId),
			"evaluateTargetHealth": set.AliasTarget.EvaluateTargetHealth,
		}}
		return state, nil
	}
	if set.TTL != nil {
		state["ttl"] = float64(*set.TTL)
	}
	values := []string{}
	for _, record := range set.ResourceRecords {
		value := aws.ToString(record.Value)
		if set.Type == types.RRTypeTxt {
			value = strings.TrimSuffix(strings.TrimPrefix(value, `"`), `"`)
		}
		values = append(values, value)
	}
	state["records"] = table.List(values)
	return state, nil
}
