package service

import (
	"fmt"
	"hash/crc32"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"aether.dev/engine/aws/table"
)

const noVolume = "InvalidVolume.NotFound"

func (s *Session) volumeResources() []*table.Resource {
	return []*table.Resource{s.volume(), s.volumeAttachment()}
}

func (s *Session) volume() *table.Resource {
	volume := &table.Resource{
		Token: "ebs/volume:Volume", Tagged: true,
		Fields: withRegion(table.Fields{
			"availabilityZone": {Kind: table.String, Required: true, Replace: true},
			"size":             {Kind: table.Int, Computed: true},
			"type":             {Kind: table.String, Computed: true},
			"iops":             {Kind: table.Int, Computed: true},
			"throughput":       {Kind: table.Int, Computed: true},
			"encrypted":        {Kind: table.Bool, Computed: true, Replace: true},
			"kmsKeyId":         {Kind: table.String, Computed: true, Replace: true},
			"snapshotId":       {Kind: table.String, Computed: true, Replace: true},
			"finalSnapshot":    {Kind: table.Bool, Default: false},
			"arn":              {Kind: table.String, Output: true},
			"createTime":       {Kind: table.String, Output: true},
		}),
		Read: s.readVolume,
	}
	volume.Create = func(c *table.Call) (string, error) {
		input := &ec2.CreateVolumeInput{
			AvailabilityZone: given(c.In, "availabilityZone"), VolumeType: types.VolumeType(c.In.Str("type")),
			Encrypted: givenBool(c.In, "encrypted"), KmsKeyId: given(c.In, "kmsKeyId"), SnapshotId: given(c.In, "snapshotId"),
			TagSpecifications: specification(types.ResourceTypeVolume, c.In.Map("tagsAll")),
		}
		for field, target := range map[string]**int32{"size": &input.Size, "iops": &input.Iops, "throughput": &input.Throughput} {
			if c.In.Has(field) {
				*target = aws.Int32(int32(c.In.Int(field)))
			}
		}
		made, err := s.ec2.CreateVolume(c, input)
		if err != nil {
			return "", err
		}
		id := aws.ToString(made.VolumeId)
		return id, s.volumeIs(c, id, types.VolumeStateAvailable)
	}
	volume.Update = func(c *table.Call) error {
		input, changed := &ec2.ModifyVolumeInput{VolumeId: &c.ID}, false
		for field, target := range map[string]**int32{"size": &input.Size, "iops": &input.Iops, "throughput": &input.Throughput} {
			if c.Changed(volume, field) && c.In.Has(field) {
				*target, changed = aws.Int32(int32(c.In.Int(field))), true
			}
		}
		if c.Changed(volume, "type") {
			input.VolumeType, changed = types.VolumeType(c.In.Str("type")), true
		}
		if changed {
			if _, err := s.ec2.ModifyVolume(c, input); err != nil {
				return err
			}
		}
		return s.updateTags(c, c, c.ID)
	}
	volume.Delete = func(c *table.Call) error {
		if c.OldIn.Bool("finalSnapshot") {
			if _, err := s.ec2.CreateSnapshot(c, &ec2.CreateSnapshotInput{
				VolumeId: &c.ID, TagSpecifications: specification(types.ResourceTypeSnapshot, c.OldIn.Map("tagsAll")),
			}); err != nil {
				return gone(err, noVolume)
			}
		}
		return gone(eventually(c, missing("VolumeInUse"), func() error {
			_, err := s.ec2.DeleteVolume(c, &ec2.DeleteVolumeInput{VolumeId: &c.ID})
			return err
		}), noVolume)
	}
	return volume
}

func (s *Session) findVolume(c *table.Call, id string) (*types.Volume, error) {
	found, err := s.ec2.DescribeVolumes(c, &ec2.DescribeVolumesInput{VolumeIds: []string{id}})
	if has(err, noVolume) || (err == nil && len(found.Volumes) == 0) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &found.Volumes[0], nil
}

func (s *Session) readVolume(c *table.Call) (table.Values, error) {
	actual, err := s.findVolume(c, c.ID)
	if err != nil || actual == nil {
		return nil, err
	}
	owner, err := s.accountID(c)
	state := table.Values{
		"availabilityZone": text(actual.AvailabilityZone), "size": float64(aws.ToInt32(actual.Size)), "type": string(actual.VolumeType),
		"encrypted": aws.ToBool(actual.Encrypted), "kmsKeyId": text(actual.KmsKeyId), "snapshotId": text(actual.SnapshotId),
		"createTime": date(actual.CreateTime), "tagsAll": tagsOf(actual.Tags), "region": s.region,
		"arn": s.arn("ec2", owner, "volume/"+c.ID), "iops": nil, "throughput": nil,
	}
	for field, value := range map[string]*int32{"iops": actual.Iops, "throughput": actual.Throughput} {
		if aws.ToInt32(value) != 0 {
			state[field] = float64(*value)
		}
	}
	return state, err
}

// volumeIs waits until the volume is in the state.
func (s *Session) volumeIs(c *table.Call, id string, wanted types.VolumeState) error {
	deadline := time.Now().Add(stateLimit)
	for delay := 100 * time.Millisecond; time.Now().Before(deadline); delay = min(delay*2, 5*time.Second) {
		actual, err := s.findVolume(c, id)
		if err != nil || (actual != nil && actual.State == wanted) {
			return err
		}
		select {
		case <-c.Done():
			return c.Err()
		case <-time.After(delay):
		}
	}
	return fmt.Errorf("volume %s is not %s after %s", id, wanted, stateLimit)
}

// volumeAttachment has an id of its own, as in the released plugin: AWS gives it none.
func (s *Session) volumeAttachment() *table.Resource {
	attachment := &table.Resource{
		Token: "ec2/volumeAttachment:VolumeAttachment",
		Fields: withRegion(table.Fields{
			"deviceName":                  {Kind: table.String, Required: true, Replace: true},
			"instanceId":                  {Kind: table.String, Required: true, Replace: true},
			"volumeId":                    {Kind: table.String, Required: true, Replace: true},
			"forceDetach":                 {Kind: table.Bool},
			"skipDestroy":                 {Kind: table.Bool},
			"stopInstanceBeforeDetaching": {Kind: table.Bool},
		}),
		Update: func(*table.Call) error { return nil },
		Delete: s.detach,
	}
	attachment.Create = func(c *table.Call) (string, error) {
		instance, volume := c.In.Str("instanceId"), c.In.Str("volumeId")
		id := fmt.Sprintf("vai-%d", crc32.ChecksumIEEE([]byte(c.In.Str("deviceName")+"-"+instance+"-"+volume+"-")))
		actual, err := s.findVolume(c, volume)
		if err != nil {
			return "", err
		}
		// A run that was cut off between AWS's answer and the state.
		if attached(actual, instance) != nil {
			return id, nil
		}
		err = eventually(c, missing("IncorrectState", "IncorrectInstanceState", "VolumeInUse"), func() error {
			_, err := s.ec2.AttachVolume(c, &ec2.AttachVolumeInput{
				Device: given(c.In, "deviceName"), InstanceId: &instance, VolumeId: &volume,
			})
			return err
		})
		if err != nil {
			return "", err
		}
		return id, s.volumeIs(c, volume, types.VolumeStateInUse)
	}
	attachment.Read = func(c *table.Call) (table.Values, error) {
		where := c.Old
		if !where.Has("volumeId") {
			where = c.In
		}
		actual, err := s.findVolume(c, where.Str("volumeId"))
		if err != nil {
			return nil, err
		}
		found := attached(actual, where.Str("instanceId"))
		if found == nil {
			return nil, nil
		}
		return table.Values{
			"deviceName": text(found.Device), "instanceId": text(found.InstanceId), "volumeId": text(found.VolumeId), "region": s.region,
		}, nil
	}
	return attachment
}

func attached(volume *types.Volume, instance string) *types.VolumeAttachment {
	if volume == nil {
		return nil
	}
	for _, one := range volume.Attachments {
		if aws.ToString(one.InstanceId) == instance && one.State != types.VolumeAttachmentStateDetached {
			return &one
		}
	}
	return nil
}

// detach stops the instance first where the program says so: a file system is not taken from under a running machine.
func (s *Session) detach(c *table.Call) error {
	if c.OldIn.Bool("skipDestroy") {
		return nil
	}
	volume, instance := c.Old.Str("volumeId"), c.Old.Str("instanceId")
	if c.OldIn.Bool("stopInstanceBeforeDetaching") {
		_, err := s.ec2.StopInstances(c, &ec2.StopInstancesInput{InstanceIds: []string{instance}})
		if err == nil {
			err = s.waitFor(c, instance, types.InstanceStateNameStopped)
		}
		if err = gone(err, "InvalidInstanceID.NotFound", "IncorrectInstanceState"); err != nil {
			return err
		}
	}
	_, err := s.ec2.DetachVolume(c, &ec2.DetachVolumeInput{
		Device: given(c.Old, "deviceName"), InstanceId: &instance, VolumeId: &volume, Force: aws.Bool(c.OldIn.Bool("forceDetach")),
	})
	// IncorrectState: it is attached to nothing.
	if err != nil {
		return gone(err, noVolume, "IncorrectState", "InvalidAttachment.NotFound")
	}
	return s.volumeIs(c, volume, types.VolumeStateAvailable)
}
