"""What a machine on AWS may do there: be reached by Session Manager, or nothing."""

import json

import pulumi
import pulumi_aws as aws

from components.base import Component

_ASSUMED_BY_EC2 = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
# What the agent needs for sessions, and no more: AmazonSSMManagedInstanceCore also reads every parameter of the account.
# https://docs.aws.amazon.com/systems-manager/latest/userguide/getting-started-create-iam-instance-profile.html
_SESSIONS = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": [
                "ssm:UpdateInstanceInformation",
                "ssmmessages:CreateControlChannel",
                "ssmmessages:CreateDataChannel",
                "ssmmessages:OpenControlChannel",
                "ssmmessages:OpenDataChannel",
            ],
            "Resource": "*",
        }
    ],
}


def session_profile(parent: Component, name: str, provider: pulumi.ProviderResource) -> aws.iam.InstanceProfile:
    """An instance profile whose role may keep Session Manager's channels open and do nothing else."""
    options = parent.child(provider=provider)
    role = aws.iam.Role(
        name,
        name=name,
        description="Session Manager reaches the machine; nothing else",
        assume_role_policy=json.dumps(_ASSUMED_BY_EC2),
        opts=options,
    )
    policy = aws.iam.RolePolicy(name, name="sessions", role=role.name, policy=json.dumps(_SESSIONS), opts=options)
    return aws.iam.InstanceProfile(name, name=name, role=role.name, opts=parent.child(provider=provider, depends_on=[policy]))
