"""The least rights that the cloud's stack needs: an IAM policy, narrowed to its region, its zone and its own roles.

Who publishes images needs another one, which whoever deploys does not.
"""

import json
from typing import Any

from inventory.blocks import replaced


def _words(text: str) -> list[str]:
    return text.split()


# What the program's resources call: made, changed, read and destroyed.
EC2 = _words(
    "AllocateAddress AssignIpv6Addresses AssociateAddress AssociateIamInstanceProfile AssociateRouteTable "
    "AssociateSubnetCidrBlock AssociateVpcCidrBlock AttachInternetGateway AttachVolume AuthorizeSecurityGroupEgress "
    "AuthorizeSecurityGroupIngress CreateInternetGateway CreateRoute CreateRouteTable CreateSecurityGroup CreateSnapshot "
    "CreateSubnet CreateTags CreateVolume CreateVpc DeleteInternetGateway DeleteKeyPair DeleteRoute DeleteRouteTable "
    "DeleteSecurityGroup DeleteSubnet DeleteTags DeleteVolume DeleteVpc DescribeAddresses "
    "DescribeIamInstanceProfileAssociations DescribeImages DescribeInstanceAttribute DescribeInstances "
    "DescribeInternetGateways DescribeKeyPairs DescribeNetworkAcls DescribeRouteTables DescribeSecurityGroupRules "
    "DescribeSecurityGroups DescribeSubnets DescribeVolumes DescribeVpcAttribute DescribeVpcs DetachInternetGateway "
    "DetachVolume DisassociateAddress DisassociateIamInstanceProfile DisassociateRouteTable DisassociateSubnetCidrBlock "
    "DisassociateVpcCidrBlock ImportKeyPair ModifyInstanceAttribute ModifyInstanceCreditSpecification "
    "ModifyInstanceMetadataOptions ModifySecurityGroupRules ModifySubnetAttribute ModifyVolume ModifyVpcAttribute "
    "ModifyVpcTenancy MonitorInstances ReleaseAddress ReplaceIamInstanceProfileAssociation ReplaceRoute "
    "ReplaceRouteTableAssociation RevokeSecurityGroupEgress RevokeSecurityGroupIngress RunInstances StartInstances "
    "StopInstances TerminateInstances UnassignIpv6Addresses UnmonitorInstances"
)
# Read by the released provider alone.
EC2_RELEASED = _words(
    "DescribeAccountAttributes DescribeAddressesAttribute DescribeAvailabilityZones DescribeInstanceCreditSpecifications "
    "DescribeInstanceTypes DescribeNetworkInterfaces DescribeSnapshots DescribeTags DescribeVolumesModifications"
)
IAM = _words(
    "AddRoleToInstanceProfile CreateInstanceProfile CreateRole DeleteInstanceProfile DeleteRole "
    "DeleteRolePermissionsBoundary DeleteRolePolicy GetInstanceProfile GetRole GetRolePolicy ListAttachedRolePolicies "
    "ListInstanceProfilesForRole PutRolePermissionsBoundary PutRolePolicy RemoveRoleFromInstanceProfile TagInstanceProfile "
    "TagRole UntagInstanceProfile UntagRole UpdateAssumeRolePolicy UpdateRole"
)
IAM_RELEASED = ("ListInstanceProfileTags", "ListRolePolicies", "UpdateRoleDescription")
ZONE = _words("ChangeResourceRecordSets ChangeTagsForResource GetHostedZone ListResourceRecordSets ListTagsForResource")
OWN_ZONE = _words("CreateHostedZone DeleteHostedZone UpdateHostedZoneComment")
BUDGETS = ("ModifyBudget", "ViewBudget", "TagResource", "UntagResource", "ListTagsForResource")
DLM = _words("CreateLifecyclePolicy DeleteLifecyclePolicy GetLifecyclePolicy TagResource UntagResource UpdateLifecyclePolicy")

EBS = _words("CompleteSnapshot PutSnapshotBlock")
# What a key of one's own for snapshots takes: https://docs.aws.amazon.com/ebs/latest/userguide/ebsapi-permissions.html
KMS = _words("CreateGrant Decrypt DescribeKey GenerateDataKey GenerateDataKeyWithoutPlaintext ReEncryptFrom ReEncryptTo")
# The tag of whatever `aether image publish` makes; disks' snapshots have it not.
MARK = "aether:image"


def policy(site: str, region: str, zone: str | None = None) -> dict[str, Any]:
    """The policy's document. SITE prefixes the roles; with ZONE (an id) no other zone can be touched."""
    zones = f"arn:aws:route53:::hostedzone/{zone or '*'}"
    own = [f"arn:aws:iam::*:role/{site}-*", f"arn:aws:iam::*:instance-profile/{site}-*"]
    passed = {"StringEquals": {"iam:PassedToService": ["ec2.amazonaws.com", "dlm.amazonaws.com"]}}
    statements = [
        _allow("Machines", "ec2", [*EC2, *EC2_RELEASED], "*", {"StringEquals": {"aws:RequestedRegion": region}}),
        _allow("Roles", "iam", [*IAM, *IAM_RELEASED], own),
        _allow("RolesOfMachines", "iam", ["PassRole"], own[0], passed),
        _allow("Names", "route53", ZONE if zone else [*ZONE, *OWN_ZONE], zones),
        _allow("Changes", "route53", ["GetChange", *([] if zone else ["ListHostedZones", "ListHostedZonesByName"])], "*"),
        _allow("Budget", "budgets", list(BUDGETS), f"arn:aws:budgets::*:budget/{site}-monthly"),
        _allow("Snapshots", "dlm", DLM, "*", {"StringEquals": {"aws:RequestedRegion": region}}),
        _allow("Who", "sts", ["GetCallerIdentity"], "*"),
    ]
    return {"Version": "2012-10-17", "Statement": statements}


def publishing(region: str) -> dict[str, Any]:
    """The document of whoever publishes images: it writes and removes snapshots that it made, and no other."""
    snapshots, images = f"arn:aws:ec2:{region}::snapshot/*", f"arn:aws:ec2:{region}::image/*"
    here = {"StringEquals": {"aws:RequestedRegion": region}}
    marks, marked = {"Null": {f"aws:RequestTag/{MARK}": "false"}}, {"Null": {f"aws:ResourceTag/{MARK}": "false"}}
    statements = [
        _allow("Look", "ec2", ["DescribeImages", "DescribeSnapshots"], "*", here),
        _allow("Begin", "ebs", ["StartSnapshot"], snapshots, marks),
        _allow("Fill", "ebs", EBS, snapshots, marked),
        _allow("Tag", "ec2", ["CreateTags"], [snapshots, images], marks),
        _allow("Register", "ec2", ["RegisterImage"], "*", here),
        _allow("Clean", "ec2", ["DeleteSnapshot"], snapshots, marked),
        _allow("Encrypt", "kms", KMS, "*", {"ForAnyValue:StringEquals": {"kms:ResourceAliases": "alias/aws/ebs"}}),
    ]
    return {"Version": "2012-10-17", "Statement": statements}


def _allow(
    sid: str, service: str, actions: list[str], resource: str | list[str], condition: dict[str, Any] | None = None
) -> dict[str, Any]:
    more = {"Condition": condition} if condition else {}
    named = sorted(f"{service}:{action}" for action in actions)
    return {"Sid": sid, "Effect": "Allow", "Action": named, "Resource": resource, **more}


def printed(document: dict[str, Any]) -> str:
    """A document as the AWS tools take it."""
    return json.dumps(document, indent=2)


RIGHTS = "<!-- rights:begin -->", "<!-- rights:end -->"
_WHAT = {"*": "everything"}


def markdown() -> str:
    """The statements of both policies, of site SITE in region REGION, for docs."""
    return "\n".join(
        [
            *_table(policy("SITE", "REGION")),
            "",
            "With `zone_id` the zone is that one alone, and none can be made or deleted.",
            "",
            "Whoever publishes images (`cloud policy --images`):",
            "",
            *_table(publishing("REGION")),
        ]
    )


def _table(document: dict[str, Any]) -> list[str]:
    lines = ["| statement | actions | on | if |", "|---|---|---|---|"]
    for one in document["Statement"]:
        resources = one["Resource"] if isinstance(one["Resource"], list) else [one["Resource"]]
        services = {action.partition(":")[0] for action in one["Action"]}
        names = ", ".join(action.partition(":")[2] for action in one["Action"])
        on = ", ".join(_WHAT.get(resource, f"`{resource}`") for resource in resources)
        when = "; ".join(_when(*held) for held in one.get("Condition", {}).items())
        lines.append(f"| {one['Sid']} | {', '.join(sorted(services))}: {names} | {on} | {when or '-'} |")
    return lines


def _when(operator: str, values: dict[str, str | list[str]]) -> str:
    """A condition in words."""
    if operator == "Null":
        return "; ".join(f"it has `{key}`" for key in values)
    return "; ".join(f"`{key}` is {value if isinstance(value, str) else ' or '.join(value)}" for key, value in values.items())


def replace_block(text: str) -> str:
    """TEXT with the table between the markers. Raises ValueError where it lacks them."""
    return replaced(text, *RIGHTS, markdown())
