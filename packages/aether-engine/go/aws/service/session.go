// Package service holds the AWS resources that a small public gateway needs.
package service

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	"github.com/aws/aws-sdk-go-v2/service/budgets"
	"github.com/aws/aws-sdk-go-v2/service/dlm"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/route53"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"aether.dev/engine/aws/table"
)

// Released is the version of the Python SDK (pulumi-aws) whose requests this plugin answers.
const Released = "7.51.1"

// defaultRetries is what the released plugin allows.
const defaultRetries = 25

// Session is the configured plugin.
type Session struct {
	region      string
	account     string
	defaultTags map[string]string

	ec2     *ec2.Client
	iam     *iam.Client
	route53 *route53.Client
	ssm     *ssm.Client
	budgets *budgets.Client
	dlm     *dlm.Client
	sts     *sts.Client
}

// New is a session that waits for its configuration.
func New() *Session { return &Session{} }

var endpointNames = []string{"budgets", "dlm", "ec2", "iam", "route53", "ssm", "sts"}

// Config are the arguments of the provider. Those that have no effect on these resources are accepted too.
func (*Session) Config() table.Fields {
	endpoints := table.Fields{}
	for _, name := range append(slices.Clone(endpointNames), "s3") {
		endpoints[name] = &table.Field{Kind: table.String}
	}
	return table.Fields{
		"region":                    {Kind: table.String},
		"accessKey":                 {Kind: table.String, Secret: true},
		"secretKey":                 {Kind: table.String, Secret: true},
		"token":                     {Kind: table.String, Secret: true},
		"profile":                   {Kind: table.String},
		"sharedConfigFiles":         {Kind: table.Strings},
		"sharedCredentialsFiles":    {Kind: table.Strings},
		"maxRetries":                {Kind: table.Int},
		"endpoints":                 {Kind: table.Objects, Type: "index/ProviderEndpoint", Elem: endpoints},
		"skipCredentialsValidation": {Kind: table.Bool},
		"skipMetadataApiCheck":      {Kind: table.Bool},
		"skipRegionValidation":      {Kind: table.Bool},
		"skipRequestingAccountId":   {Kind: table.Bool},
		"s3UsePathStyle":            {Kind: table.Bool},
		"defaultTags": {Kind: table.Object, Type: "index/ProviderDefaultTags", Elem: table.Fields{
			"tags": {Kind: table.Map},
		}},
	}
}

// DefaultTags are given to every tagged resource.
func (s *Session) DefaultTags() map[string]string { return s.defaultTags }

// Configure makes the clients and, unless told not to, asks AWS who the credentials belong to.
func (s *Session) Configure(ctx context.Context, values table.Values) error {
	if err := onlySimulated(values); err != nil {
		return err
	}
	s.defaultTags = values.Object("defaultTags").Map("tags")
	loaded, err := config.LoadDefaultConfig(ctx, options(values)...)
	if err != nil {
		return err
	}
	if loaded.Region == "" {
		return fmt.Errorf("no AWS region: set `region` of the aws provider, or AWS_REGION")
	}
	s.region = loaded.Region
	endpoints := map[string]*string{}
	for _, object := range values.Objects("endpoints") {
		for _, name := range endpointNames {
			if object.Str(name) != "" {
				endpoints[name] = aws.String(object.Str(name))
			}
		}
	}
	s.ec2 = ec2.NewFromConfig(loaded, func(o *ec2.Options) { o.BaseEndpoint = endpoints["ec2"] })
	s.iam = iam.NewFromConfig(loaded, func(o *iam.Options) { o.BaseEndpoint = endpoints["iam"] })
	s.route53 = route53.NewFromConfig(loaded, func(o *route53.Options) { o.BaseEndpoint = endpoints["route53"] })
	s.ssm = ssm.NewFromConfig(loaded, func(o *ssm.Options) { o.BaseEndpoint = endpoints["ssm"] })
	s.budgets = budgets.NewFromConfig(loaded, func(o *budgets.Options) { o.BaseEndpoint = endpoints["budgets"] })
	s.dlm = dlm.NewFromConfig(loaded, func(o *dlm.Options) { o.BaseEndpoint = endpoints["dlm"] })
	s.sts = sts.NewFromConfig(loaded, func(o *sts.Options) { o.BaseEndpoint = endpoints["sts"] })
	if values.Bool("skipCredentialsValidation") && values.Bool("skipRequestingAccountId") {
		return nil
	}
	identity, err := s.sts.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return err
	}
	s.account = aws.ToString(identity.Account)
	return nil
}

// onlySimulated refuses the real AWS: what this plugin has is enough for a simulator, and not to be trusted with machines.
func onlySimulated(values table.Values) error {
	for _, object := range values.Objects("endpoints") {
		if object.Has("ec2") || !isKnown(object["ec2"]) {
			return nil
		}
	}
	return fmt.Errorf("this is Aether's fake for the aws plugin, for the simulator only, and no endpoint of a simulator is " +
		"set.\nFix: install the released plugin where Pulumi's releases can be downloaded, and run again:\n" +
		"  PULUMI_HOME=.aether/pulumi-home pulumi plugin install resource aws " + Released + " --reinstall\n" +
		"(docs/aws.md; on a machine without access, copy the archive there and add --file ARCHIVE)")
}

func isKnown(value any) bool { _, unknown := value.(table.Unknown); return !unknown }

func options(values table.Values) []func(*config.LoadOptions) error {
	retries := defaultRetries
	if values.Has("maxRetries") {
		retries = values.Int("maxRetries")
	}
	chosen := []func(*config.LoadOptions) error{
		config.WithRetryer(func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) {
				o.MaxAttempts = retries + 1
				o.MaxBackoff = 20 * time.Second
				// The default bucket gives up after a hundred throttled calls, which 25 tries of a few resources reach.
				o.RateLimiter = unlimited{}
			})
		}),
	}
	if values.Bool("skipMetadataApiCheck") {
		chosen = append(chosen, config.WithEC2IMDSClientEnableState(imds.ClientDisabled))
	}
	if region := values.Str("region"); region != "" {
		chosen = append(chosen, config.WithRegion(region))
	}
	if profile := values.Str("profile"); profile != "" {
		chosen = append(chosen, config.WithSharedConfigProfile(profile))
	}
	if files := values.Strs("sharedConfigFiles"); len(files) > 0 {
		chosen = append(chosen, config.WithSharedConfigFiles(files))
	}
	if files := values.Strs("sharedCredentialsFiles"); len(files) > 0 {
		chosen = append(chosen, config.WithSharedCredentialsFiles(files))
	}
	if values.Str("accessKey") != "" {
		chosen = append(chosen, config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider(
			values.Str("accessKey"), values.Str("secretKey"), values.Str("token"))))
	}
	return chosen
}

type unlimited struct{}

func (unlimited) GetToken(context.Context, uint) (func() error, error) {
	return func() error { return nil }, nil
}
func (unlimited) AddTokens(uint) error { return nil }

// accountID asks once, where the configuration did not.
func (s *Session) accountID(ctx context.Context) (string, error) {
	if s.account == "" {
		identity, err := s.sts.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
		if err != nil {
			return "", err
		}
		s.account = aws.ToString(identity.Account)
	}
	return s.account, nil
}

func (s *Session) arn(service, owner, rest string) string {
	return fmt.Sprintf("arn:aws:%s:%s:%s:%s", service, s.region, owner, rest)
}

// Resources are all that the fake has.
func (s *Session) Resources() []*table.Resource {
	return slices.Concat(s.networkResources(), s.routeResources(), s.groupResources(), s.machineResources(),
		s.addressResources(), s.iamResources(), s.dnsResources(), s.parameterResources(), s.budgetResources(), s.volumeResources(), s.snapshotResources())
}

// withRegion adds the argument that every regional resource of the SDK has; one region a provider is what works here.
func withRegion(fields table.Fields) table.Fields {
	all := maps.Clone(fields)
	all["region"] = &table.Field{Kind: table.String, Computed: true, Replace: true}
	return all
}
