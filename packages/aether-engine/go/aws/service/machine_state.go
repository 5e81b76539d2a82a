package service

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"aether.dev/engine/aws/table"
)

// stateLimit is how long an instance may take to start, stop or end.
const stateLimit = 10 * time.Minute

func (s *Session) findInstance(c *table.Call, id string) (*types.Instance, error) {
	found, err := s.ec2.DescribeInstances(c, &ec2.DescribeInstancesInput{InstanceIds: []string{id}})
	if has(err, "InvalidInstanceID.NotFound") {
		return nil, nil
	}
	if err != nil || len(found.Reservations) == 0 || len(found.Reservations[0].Instances) == 0 {
		return nil, err
	}
	return &found.Reservations[0].Instances[0], nil
}

// waitFor ends with an error when the instance goes to another state than the wanted one for good.
func (s *Session) waitFor(c *table.Call, id string, wanted types.InstanceStateName) error {
	deadline := time.Now().Add(stateLimit)
	for delay := 100 * time.Millisecond; time.Now().Before(deadline); delay = min(delay*2, 5*time.Second) {
		actual, err := s.findInstance(c, id)
		if err != nil {
			return err
		}
		if actual == nil && wanted == types.InstanceStateNameTerminated {
			return nil
		}
		if actual != nil && actual.State != nil {
			if actual.State.Name == wanted {
				return nil
			}
			if actual.State.Name == types.InstanceStateNameTerminated {
				return fmt.Errorf("instance %s ended instead of coming up: %s", id, aws.ToString(actual.StateTransitionReason))
			}
		}
		select {
		case <-c.Done():
			return c.Err()
		case <-time.After(delay):
		}
	}
	return fmt.Errorf("instance %s is not %s after %s", id, wanted, stateLimit)
}

func (s *Session) readInstance(c *table.Call) (table.Values, error) {
	actual, err := s.findInstance(c, c.ID)
	if err != nil || actual == nil || actual.State == nil || actual.State.Name == types.InstanceStateNameTerminated {
		return nil, err
	}
	owner, err := s.accountID(c)
	if err != nil {
		return nil, err
	}
	state := table.Values{
		"ami": text(actual.ImageId), "instanceType": string(actual.InstanceType), "subnetId": text(actual.SubnetId),
		"privateIp": text(actual.PrivateIpAddress), "privateDns": text(actual.PrivateDnsName), "region": s.region,
		"publicIp": text(actual.PublicIpAddress), "publicDns": text(actual.PublicDnsName), "keyName": text(actual.KeyName),
		"instanceState": string(actual.State.Name), "iamInstanceProfile": nil, "tagsAll": tagsOf(actual.Tags),
		"sourceDestCheck": actual.SourceDestCheck == nil || *actual.SourceDestCheck,
		"monitoring":      actual.Monitoring != nil && actual.Monitoring.State == types.MonitoringStateEnabled,
		"arn":             s.arn("ec2", owner, "instance/"+c.ID),
	}
	if actual.Placement != nil {
		state["availabilityZone"], state["tenancy"] = text(actual.Placement.AvailabilityZone), string(actual.Placement.Tenancy)
	}
	if actual.IamInstanceProfile != nil {
		arn := aws.ToString(actual.IamInstanceProfile.Arn)
		state["iamInstanceProfile"] = arn[strings.LastIndexByte(arn, '/')+1:]
	}
	groups := []string{}
	for _, group := range actual.SecurityGroups {
		groups = append(groups, aws.ToString(group.GroupId))
	}
	state["vpcSecurityGroupIds"] = table.List(groups)
	addresses := []string{}
	for _, face := range actual.NetworkInterfaces {
		if face.Attachment != nil && aws.ToInt32(face.Attachment.DeviceIndex) == 0 {
			state["primaryNetworkInterfaceId"] = text(face.NetworkInterfaceId)
			for _, address := range face.Ipv6Addresses {
				addresses = append(addresses, aws.ToString(address.Ipv6Address))
			}
		}
	}
	state["ipv6Addresses"], state["ipv6AddressCount"] = table.List(addresses), float64(len(addresses))
	readMetadata(state, actual)
	return state, errors.Join(s.readRootDevice(c, state, actual), s.readAttributes(c, state))
}

func readMetadata(state table.Values, actual *types.Instance) {
	options := actual.MetadataOptions
	if options == nil {
		return
	}
	state["metadataOptions"] = map[string]any{
		"httpEndpoint": string(options.HttpEndpoint), "httpTokens": string(options.HttpTokens),
		"httpPutResponseHopLimit": float64(aws.ToInt32(options.HttpPutResponseHopLimit)),
		"httpProtocolIpv6":        string(options.HttpProtocolIpv6), "instanceMetadataTags": string(options.InstanceMetadataTags),
	}
	if options.HttpProtocolIpv6 == "" {
		state["metadataOptions"].(map[string]any)["httpProtocolIpv6"] = "disabled"
	}
}

func (s *Session) readRootDevice(c *table.Call, state table.Values, actual *types.Instance) error {
	for _, mapping := range actual.BlockDeviceMappings {
		if aws.ToString(mapping.DeviceName) != aws.ToString(actual.RootDeviceName) || mapping.Ebs == nil {
			continue
		}
		found, err := s.ec2.DescribeVolumes(c, &ec2.DescribeVolumesInput{VolumeIds: []string{aws.ToString(mapping.Ebs.VolumeId)}})
		if err != nil || len(found.Volumes) == 0 {
			return err
		}
		volume := found.Volumes[0]
		root := map[string]any{
			"deviceName": aws.ToString(mapping.DeviceName), "volumeId": aws.ToString(mapping.Ebs.VolumeId),
			"deleteOnTermination": aws.ToBool(mapping.Ebs.DeleteOnTermination), "volumeType": string(volume.VolumeType),
			"volumeSize": float64(aws.ToInt32(volume.Size)), "encrypted": aws.ToBool(volume.Encrypted),
		}
		if volume.Iops != nil {
			root["iops"] = float64(*volume.Iops)
		}
		if volume.Throughput != nil {
			root["throughput"] = float64(*volume.Throughput)
		}
		if volume.KmsKeyId != nil {
			root["kmsKeyId"] = *volume.KmsKeyId
		}
		state["rootBlockDevice"] = root
	}
	return nil
}

// readAttributes fetches what the description of an instance leaves out.
func (s *Session) readAttributes(c *table.Call, state table.Values) error {
	answer, err := s.ec2.DescribeInstanceAttribute(c, &ec2.DescribeInstanceAttributeInput{
		InstanceId: &c.ID, Attribute: types.InstanceAttributeNameDisableApiTermination,
	})
	if err == nil && answer.DisableApiTermination != nil {
		state["disableApiTermination"] = aws.ToBool(answer.DisableApiTermination.Value)
	}
	return err
}

// updateInstance changes in place what AWS can; size and user data need the instance to stop.
func (s *Session) updateInstance(c *table.Call, machine *table.Resource) error {
	if c.Changed(machine, "instanceType", "userData", "userDataBase64") {
		if err := s.stopped(c, func() error { return s.changeStopped(c, machine) }); err != nil {
			return err
		}
	}
	if c.Changed(machine, "vpcSecurityGroupIds") {
		if _, err := s.ec2.ModifyInstanceAttribute(c, &ec2.ModifyInstanceAttributeInput{
			InstanceId: &c.ID, Groups: c.In.Strs("vpcSecurityGroupIds"),
		}); err != nil {
			return err
		}
	}
	if c.Changed(machine, "sourceDestCheck") {
		if err := s.sourceDestCheck(c, c.ID, c.In.Bool("sourceDestCheck")); err != nil {
			return err
		}
	}
	if c.Changed(machine, "disableApiTermination") {
		if _, err := s.ec2.ModifyInstanceAttribute(c, &ec2.ModifyInstanceAttributeInput{
			InstanceId: &c.ID, DisableApiTermination: &types.AttributeBooleanValue{
				Value: aws.Bool(c.In.Bool("disableApiTermination")),
			},
		}); err != nil {
			return err
		}
	}
	for _, step := range []struct {
		fields []string
		change func(*table.Call) error
	}{
		{[]string{"ipv6AddressCount"}, s.changeIpv6},
		{[]string{"metadataOptions"}, s.changeMetadata},
		{[]string{"rootBlockDevice"}, s.changeRoot},
		{[]string{"iamInstanceProfile"}, s.changeProfile},
		{[]string{"creditSpecification"}, s.changeCredits},
		{[]string{"monitoring"}, s.changeMonitoring},
	} {
		if c.Changed(machine, step.fields...) {
			if err := step.change(c); err != nil {
				return err
			}
		}
	}
	return s.updateTags(c, c, c.ID)
}

func (s *Session) stopped(c *table.Call, change func() error) error {
	ids := []string{c.ID}
	if _, err := s.ec2.StopInstances(c, &ec2.StopInstancesInput{InstanceIds: ids}); err != nil {
		return err
	}
	if err := s.waitFor(c, c.ID, types.InstanceStateNameStopped); err != nil {
		return err
	}
	// It must come up again also where the change failed.
	changeErr := change()
	if _, err := s.ec2.StartInstances(c, &ec2.StartInstancesInput{InstanceIds: ids}); err != nil {
		return errors.Join(changeErr, err)
	}
	return errors.Join(changeErr, s.waitFor(c, c.ID, types.InstanceStateNameRunning))
}

func (s *Session) changeStopped(c *table.Call, machine *table.Resource) error {
	if c.Changed(machine, "instanceType") {
		if _, err := s.ec2.ModifyInstanceAttribute(c, &ec2.ModifyInstanceAttributeInput{
			InstanceId: &c.ID, InstanceType: &types.AttributeValue{Value: given(c.In, "instanceType")},
		}); err != nil {
			return err
		}
	}
	if !c.Changed(machine, "userData", "userDataBase64") {
		return nil
	}
	content := c.In.Str("userData")
	_, err := s.ec2.ModifyInstanceAttribute(c, &ec2.ModifyInstanceAttributeInput{
		InstanceId: &c.ID, UserData: &types.SecureBlobAttributeValue{Value: []byte(content)},
	})
	return err
}

// changeIpv6 gives the first interface as many addresses as are wanted, or takes the last ones away.
func (s *Session) changeIpv6(c *table.Call) error {
	face, have := given(c.Old, "primaryNetworkInterfaceId"), c.Old.Strs("ipv6Addresses")
	wanted := c.In.Int("ipv6AddressCount")
	if !c.In.Has("ipv6AddressCount") || wanted == len(have) {
		return nil
	}
	if wanted > len(have) {
		_, err := s.ec2.AssignIpv6Addresses(c, &ec2.AssignIpv6AddressesInput{
			NetworkInterfaceId: face, Ipv6AddressCount: aws.Int32(int32(wanted - len(have))),
		})
		return err
	}
	_, err := s.ec2.UnassignIpv6Addresses(c, &ec2.UnassignIpv6AddressesInput{
		NetworkInterfaceId: face, Ipv6Addresses: have[wanted:],
	})
	return err
}

func (s *Session) changeMetadata(c *table.Call) error {
	options := c.In.Object("metadataOptions")
	input := &ec2.ModifyInstanceMetadataOptionsInput{
		InstanceId: &c.ID, HttpEndpoint: types.InstanceMetadataEndpointState(options.Str("httpEndpoint")),
		HttpTokens:           types.HttpTokensState(options.Str("httpTokens")),
		HttpProtocolIpv6:     types.InstanceMetadataProtocolState(options.Str("httpProtocolIpv6")),
		InstanceMetadataTags: types.InstanceMetadataTagsState(options.Str("instanceMetadataTags")),
	}
	if options.Has("httpPutResponseHopLimit") {
		input.HttpPutResponseHopLimit = aws.Int32(int32(options.Int("httpPutResponseHopLimit")))
	}
	_, err := s.ec2.ModifyInstanceMetadataOptions(c, input)
	return err
}

func (s *Session) changeRoot(c *table.Call) error {
	root, old := c.In.Object("rootBlockDevice"), c.Old.Object("rootBlockDevice")
	input, changed := &ec2.ModifyVolumeInput{VolumeId: given(old, "volumeId")}, false
	for field, target := range map[string]**int32{
		"volumeSize": &input.Size, "iops": &input.Iops, "throughput": &input.Throughput,
	} {
		if root.Has(field) && root.Int(field) != old.Int(field) {
			*target, changed = aws.Int32(int32(root.Int(field))), true
		}
	}
	if root.Has("volumeType") && root.Str("volumeType") != old.Str("volumeType") {
		input.VolumeType, changed = types.VolumeType(root.Str("volumeType")), true
	}
	if changed {
		if _, err := s.ec2.ModifyVolume(c, input); err != nil {
			return err
		}
	}
	if root.Bool("deleteOnTermination") == old.Bool("deleteOnTermination") {
		return nil
	}
	_, err := s.ec2.ModifyInstanceAttribute(c, &ec2.ModifyInstanceAttributeInput{
		InstanceId: &c.ID, BlockDeviceMappings: []types.InstanceBlockDeviceMappingSpecification{{
			DeviceName: given(old, "deviceName"), Ebs: &types.EbsInstanceBlockDeviceSpecification{
				DeleteOnTermination: aws.Bool(root.Bool("deleteOnTermination")),
			},
		}},
	})
	return err
}

func (s *Session) changeProfile(c *table.Call) error {
	found, err := s.ec2.DescribeIamInstanceProfileAssociations(c, &ec2.DescribeIamInstanceProfileAssociationsInput{
		Filters: []types.Filter{filter("instance-id", c.ID)},
	})
	if err != nil {
		return err
	}
	profile := &types.IamInstanceProfileSpecification{Name: given(c.In, "iamInstanceProfile")}
	switch associations := found.IamInstanceProfileAssociations; {
	case len(associations) > 0 && profile.Name == nil:
		_, err = s.ec2.DisassociateIamInstanceProfile(c, &ec2.DisassociateIamInstanceProfileInput{
			AssociationId: associations[0].AssociationId,
		})
	case len(associations) > 0:
		_, err = s.ec2.ReplaceIamInstanceProfileAssociation(c, &ec2.ReplaceIamInstanceProfileAssociationInput{
			AssociationId: associations[0].AssociationId, IamInstanceProfile: profile,
		})
	case profile.Name != nil:
		_, err = s.ec2.AssociateIamInstanceProfile(c, &ec2.AssociateIamInstanceProfileInput{
			InstanceId: &c.ID, IamInstanceProfile: profile,
		})
	}
	return err
}

func (s *Session) changeCredits(c *table.Call) error {
	credits := c.In.Object("creditSpecification").Str("cpuCredits")
	if credits == "" {
		return nil
	}
	_, err := s.ec2.ModifyInstanceCreditSpecification(c, &ec2.ModifyInstanceCreditSpecificationInput{
		InstanceCreditSpecifications: []types.InstanceCreditSpecificationRequest{{InstanceId: &c.ID, CpuCredits: &credits}},
	})
	return err
}

func (s *Session) changeMonitoring(c *table.Call) error {
	ids := []string{c.ID}
	if c.In.Bool("monitoring") {
		_, err := s.ec2.MonitorInstances(c, &ec2.MonitorInstancesInput{InstanceIds: ids})
		return err
	}
	_, err := s.ec2.UnmonitorInstances(c, &ec2.UnmonitorInstancesInput{InstanceIds: ids})
	return err
}
