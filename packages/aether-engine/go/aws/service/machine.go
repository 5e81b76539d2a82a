package service

import (
	"encoding/base64"
	"regexp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"aether.dev/engine/aws/table"
)

func (s *Session) machineResources() []*table.Resource {
	return []*table.Resource{s.keyPair(), s.instance()}
}

func (s *Session) keyPair() *table.Resource {
	// The comment at the end of a public key is not kept by AWS.
	sameKey := func(a, b any) bool {
		x, y := strings.Fields(a.(string)), strings.Fields(b.(string))
		return len(x) > 1 && len(y) > 1 && x[0] == y[0] && x[1] == y[1]
	}
	return &table.Resource{
		Token: "ec2/keyPair:KeyPair", Tagged: true, Name: "keyName",
		Fields: withRegion(table.Fields{
			"keyName":       {Kind: table.String, Computed: true, Replace: true},
			"keyNamePrefix": {Kind: table.String, Computed: true, Replace: true},
			"publicKey":     {Kind: table.String, Required: true, Replace: true, Same: sameKey},
			"arn":           {Kind: table.String, Output: true},
			"fingerprint":   {Kind: table.String, Output: true},
			"keyPairId":     {Kind: table.String, Output: true},
			"keyType":       {Kind: table.String, Output: true},
		}),
		Create: func(c *table.Call) (string, error) {
			made, err := s.ec2.ImportKeyPair(c, &ec2.ImportKeyPairInput{
				KeyName: given(c.In, "keyName"), PublicKeyMaterial: []byte(c.In.Str("publicKey")),
				TagSpecifications: specification(types.ResourceTypeKeyPair, c.In.Map("tagsAll")),
			})
			if err != nil {
				return "", err
			}
			return aws.ToString(made.KeyName), nil
		},
		Read: func(c *table.Call) (table.Values, error) {
			found, err := s.ec2.DescribeKeyPairs(c, &ec2.DescribeKeyPairsInput{KeyNames: []string{c.ID}})
			if has(err, "InvalidKeyPair.NotFound") || (err == nil && len(found.KeyPairs) == 0) {
				return nil, nil
			}
			if err != nil {
				return nil, err
			}
			actual := found.KeyPairs[0]
			owner, err := s.accountID(c)
			return table.Values{
				"keyName": text(actual.KeyName), "fingerprint": text(actual.KeyFingerprint), "region": s.region,
				"keyPairId": text(actual.KeyPairId), "keyType": string(actual.KeyType), "tagsAll": tagsOf(actual.Tags),
				"arn": s.arn("ec2", owner, "key-pair/"+c.ID),
			}, err
		},
		Update: func(c *table.Call) error { return s.updateTags(c, c, c.Old.Str("keyPairId")) },
		Delete: func(c *table.Call) error {
			_, err := s.ec2.DeleteKeyPair(c, &ec2.DeleteKeyPairInput{KeyName: &c.ID})
			return gone(err, "InvalidKeyPair.NotFound")
		},
	}
}

func (s *Session) instance() *table.Resource {
	machine := &table.Resource{
		Token: "ec2/instance:Instance", Tagged: true,
		Fields: withRegion(table.Fields{
			"ami":                      {Kind: table.String, Computed: true, Replace: true},
			"instanceType":             {Kind: table.String, Computed: true},
			"availabilityZone":         {Kind: table.String, Computed: true, Replace: true},
			"subnetId":                 {Kind: table.String, Computed: true, Replace: true},
			"privateIp":                {Kind: table.String, Computed: true, Replace: true},
			"associatePublicIpAddress": {Kind: table.Bool, Computed: true, Replace: true},
			"ipv6AddressCount":         {Kind: table.Int, Computed: true},
			"ipv6Addresses":            {Kind: table.Strings, Computed: true},
			"keyName":                  {Kind: table.String, Computed: true, Replace: true},
			"tenancy":                  {Kind: table.String, Computed: true, Replace: true},
			"vpcSecurityGroupIds":      {Kind: table.Strings, Computed: true, Set: true},
			"iamInstanceProfile":       {Kind: table.String, Computed: true},
			"userData":                 {Kind: table.String, Computed: true},
			"userDataBase64":           {Kind: table.String, Computed: true},
			"userDataReplaceOnChange":  {Kind: table.Bool, Default: false},
			"sourceDestCheck":          {Kind: table.Bool, Default: true},
			"disableApiTermination":    {Kind: table.Bool, Computed: true},
			"forceDestroy":             {Kind: table.Bool, Default: false},
			"monitoring":               {Kind: table.Bool, Computed: true},
			"metadataOptions": {Kind: table.Object, Computed: true, Type: "ec2/InstanceMetadataOptions", Elem: table.Fields{
				"httpEndpoint":            {Kind: table.String, Default: "enabled"},
				"httpTokens":              {Kind: table.String, Computed: true},
				"httpPutResponseHopLimit": {Kind: table.Int, Computed: true},
				"httpProtocolIpv6":        {Kind: table.String, Default: "disabled"},
				"instanceMetadataTags":    {Kind: table.String, Computed: true},
			}},
			"rootBlockDevice": {Kind: table.Object, Computed: true, Type: "ec2/InstanceRootBlockDevice", Elem: table.Fields{
				"volumeSize":          {Kind: table.Int, Computed: true},
				"volumeType":          {Kind: table.String, Computed: true},
				"iops":                {Kind: table.Int, Computed: true},
				"throughput":          {Kind: table.Int, Computed: true},
				"encrypted":           {Kind: table.Bool, Computed: true, Replace: true},
				"kmsKeyId":            {Kind: table.String, Computed: true, Replace: true},
				"deleteOnTermination": {Kind: table.Bool, Default: true},
				"deviceName":          {Kind: table.String, Output: true},
				"volumeId":            {Kind: table.String, Output: true},
			}},
			"creditSpecification": {Kind: table.Object, Type: "ec2/InstanceCreditSpecification", Elem: table.Fields{
				"cpuCredits": {Kind: table.String},
			}},
			"arn":                       {Kind: table.String, Output: true},
			"instanceState":             {Kind: table.String, Output: true},
			"primaryNetworkInterfaceId": {Kind: table.String, Output: true},
			"privateDns":                {Kind: table.String, Output: true},
			"publicDns":                 {Kind: table.String, Output: true},
			"publicIp":                  {Kind: table.String, Output: true},
		}),
		ReplaceIf: replacesInstance,
		Follows:   map[string][]string{"ipv6AddressCount": {"ipv6Addresses"}},
		Create:    s.runInstance,
		Read:      s.readInstance,
		Delete:    s.terminate,
	}
	machine.Update = func(c *table.Call) error { return s.updateInstance(c, machine) }
	return machine
}

// ofArm are the types of Graviton processors: a1, or a g behind the generation (t4g, m7gd, im4gn).
var ofArm = regexp.MustCompile(`^(a1|[a-z]+\d+[a-z-]*g[a-z-]*)\.`)

// replacesInstance are the conditions of the released plugin: user data where the program says so, addresses that the
// program picks, and a type whose processors do not run what is on the disk.
func replacesInstance(field string, oldIn, _, in table.Values) bool {
	switch field {
	case "userData", "userDataBase64":
		return in.Bool("userDataReplaceOnChange")
	case "ipv6Addresses":
		return oldIn.Int("ipv6AddressCount") == in.Int("ipv6AddressCount")
	case "instanceType":
		return ofArm.MatchString(oldIn.Str("instanceType")) != ofArm.MatchString(in.Str("instanceType"))
	default:
		return false
	}
}

func (s *Session) runInstance(c *table.Call) (string, error) {
	input := &ec2.RunInstancesInput{
		MinCount: aws.Int32(1), MaxCount: aws.Int32(1),
		ImageId: given(c.In, "ami"), InstanceType: types.InstanceType(c.In.Str("instanceType")),
		KeyName: given(c.In, "keyName"), UserData: userData(c.In),
		DisableApiTermination: givenBool(c.In, "disableApiTermination"),
		Monitoring:            &types.RunInstancesMonitoringEnabled{Enabled: aws.Bool(c.In.Bool("monitoring"))},
		BlockDeviceMappings:   s.rootDevice(c),
		TagSpecifications:     specification(types.ResourceTypeInstance, c.In.Map("tagsAll")),
	}
	if c.In.Has("iamInstanceProfile") {
		input.IamInstanceProfile = &types.IamInstanceProfileSpecification{Name: given(c.In, "iamInstanceProfile")}
	}
	if c.In.Has("availabilityZone") || c.In.Has("tenancy") {
		input.Placement = &types.Placement{
			AvailabilityZone: given(c.In, "availabilityZone"), Tenancy: types.Tenancy(c.In.Str("tenancy")),
		}
	}
	if options := c.In.Object("metadataOptions"); options != nil {
		input.MetadataOptions = &types.InstanceMetadataOptionsRequest{
			HttpEndpoint:         types.InstanceMetadataEndpointState(options.Str("httpEndpoint")),
			HttpTokens:           types.HttpTokensState(options.Str("httpTokens")),
			HttpProtocolIpv6:     types.InstanceMetadataProtocolState(options.Str("httpProtocolIpv6")),
			InstanceMetadataTags: types.InstanceMetadataTagsState(options.Str("instanceMetadataTags")),
		}
		if options.Has("httpPutResponseHopLimit") {
			input.MetadataOptions.HttpPutResponseHopLimit = aws.Int32(int32(options.Int("httpPutResponseHopLimit")))
		}
	}
	if credits := c.In.Object("creditSpecification").Str("cpuCredits"); credits != "" {
		input.CreditSpecification = &types.CreditSpecificationRequest{CpuCredits: &credits}
	}
	networking(input, c.In)
	var made *ec2.RunInstancesOutput
	// A new instance profile is not known to EC2 at once, nor is its role.
	err := eventually(c, func(err error) bool {
		return has(err, "InvalidParameterValue") && strings.Contains(err.Error(), "IAM")
	}, func() (err error) {
		made, err = s.ec2.RunInstances(c, input)
		return err
	})
	if err != nil {
		return "", err
	}
	id := aws.ToString(made.Instances[0].InstanceId)
	if err := s.waitFor(c, id, types.InstanceStateNameRunning); err != nil {
		return id, err
	}
	if !c.In.Bool("sourceDestCheck") {
		return id, s.sourceDestCheck(c, id, false)
	}
	return id, nil
}

// networking puts the addresses where the API takes them: beside the subnet, or in an interface of their own.
func networking(input *ec2.RunInstancesInput, in table.Values) {
	if !in.Has("associatePublicIpAddress") {
		input.SubnetId, input.PrivateIpAddress = given(in, "subnetId"), given(in, "privateIp")
		input.SecurityGroupIds = in.Strs("vpcSecurityGroupIds")
		if in.Has("ipv6AddressCount") {
			input.Ipv6AddressCount = aws.Int32(int32(in.Int("ipv6AddressCount")))
		}
		for _, address := range in.Strs("ipv6Addresses") {
			input.Ipv6Addresses = append(input.Ipv6Addresses, types.InstanceIpv6Address{Ipv6Address: aws.String(address)})
		}
		return
	}
	face := types.InstanceNetworkInterfaceSpecification{
		DeviceIndex: aws.Int32(0), AssociatePublicIpAddress: aws.Bool(in.Bool("associatePublicIpAddress")),
		SubnetId: given(in, "subnetId"), PrivateIpAddress: given(in, "privateIp"), Groups: in.Strs("vpcSecurityGroupIds"),
	}
	if in.Has("ipv6AddressCount") {
		face.Ipv6AddressCount = aws.Int32(int32(in.Int("ipv6AddressCount")))
	}
	for _, address := range in.Strs("ipv6Addresses") {
		face.Ipv6Addresses = append(face.Ipv6Addresses, types.InstanceIpv6Address{Ipv6Address: aws.String(address)})
	}
	input.NetworkInterfaces = []types.InstanceNetworkInterfaceSpecification{face}
}

func givenBool(in table.Values, name string) *bool {
	if !in.Has(name) {
		return nil
	}
	return aws.Bool(in.Bool(name))
}

func userData(in table.Values) *string {
	if in.Has("userData") {
		return aws.String(base64.StdEncoding.EncodeToString([]byte(in.Str("userData"))))
	}
	return given(in, "userDataBase64")
}

// rootDevice asks the image what it calls its root device.
func (s *Session) rootDevice(c *table.Call) []types.BlockDeviceMapping {
	root := c.In.Object("rootBlockDevice")
	if root == nil {
		return nil
	}
	name := "/dev/xvda"
	if images, err := s.ec2.DescribeImages(c, &ec2.DescribeImagesInput{ImageIds: []string{c.In.Str("ami")}}); err == nil &&
		len(images.Images) > 0 && images.Images[0].RootDeviceName != nil {
		name = *images.Images[0].RootDeviceName
	}
	device := &types.EbsBlockDevice{
		VolumeType: types.VolumeType(root.Str("volumeType")), Encrypted: givenBool(root, "encrypted"),
		KmsKeyId: given(root, "kmsKeyId"), DeleteOnTermination: aws.Bool(root.Bool("deleteOnTermination")),
	}
	for field, target := range map[string]**int32{
		"volumeSize": &device.VolumeSize, "iops": &device.Iops, "throughput": &device.Throughput,
	} {
		if root.Has(field) {
			*target = aws.Int32(int32(root.Int(field)))
		}
	}
	return []types.BlockDeviceMapping{{DeviceName: &name, Ebs: device}}
}

func (s *Session) sourceDestCheck(c *table.Call, id string, value bool) error {
	_, err := s.ec2.ModifyInstanceAttribute(c, &ec2.ModifyInstanceAttributeInput{
		InstanceId: &id, SourceDestCheck: &types.AttributeBooleanValue{Value: &value},
	})
	return err
}

func (s *Session) terminate(c *table.Call) error {
	if c.OldIn.Bool("disableApiTermination") && c.OldIn.Bool("forceDestroy") {
		if _, err := s.ec2.ModifyInstanceAttribute(c, &ec2.ModifyInstanceAttributeInput{
			InstanceId: &c.ID, DisableApiTermination: &types.AttributeBooleanValue{Value: aws.Bool(false)},
		}); err != nil {
			return gone(err, "InvalidInstanceID.NotFound")
		}
	}
	_, err := s.ec2.TerminateInstances(c, &ec2.TerminateInstancesInput{InstanceIds: []string{c.ID}})
	if err != nil {
		return gone(err, "InvalidInstanceID.NotFound")
	}
	return s.waitFor(c, c.ID, types.InstanceStateNameTerminated)
}
