package bridge

// The tokens are github:index/<name>:<Name>.
var resources = map[string]string{
	"github_actions_environment_secret":               "ActionsEnvironmentSecret",
	"github_actions_repository_permissions":           "ActionsRepositoryPermissions",
	"github_actions_secret":                           "ActionsSecret",
	"github_actions_variable":                         "ActionsVariable",
	"github_branch":                                   "Branch",
	"github_branch_default":                           "BranchDefault",
	"github_branch_protection":                        "BranchProtection",
	"github_issue_label":                              "IssueLabel",
	"github_issue_labels":                             "IssueLabels",
	"github_repository":                               "Repository",
	"github_repository_collaborator":                  "RepositoryCollaborator",
	"github_repository_dependabot_security_updates":   "RepositoryDependabotSecurityUpdates",
	"github_repository_deploy_key":                    "RepositoryDeployKey",
	"github_repository_environment":                   "RepositoryEnvironment",
	"github_repository_environment_deployment_policy": "RepositoryEnvironmentDeploymentPolicy",
	"github_repository_file":                          "RepositoryFile",
	"github_repository_ruleset":                       "RepositoryRuleset",
	"github_repository_topics":                        "RepositoryTopics",
	"github_workflow_repository_permissions":          "WorkflowRepositoryPermissions",
}

// These names are unique in GitHub's API, so that a replacement cannot be created first.
var deletedBeforeReplace = map[string]bool{
	"github_actions_environment_secret": true,
	"github_repository_collaborator":    true,
	"github_repository_deploy_key":      true,
}

// A name is ignored for resources and data sources alike, so one that is mapped above needs its data source here too.
var dataSources = map[string]string{
	"github_actions_public_key":      "getActionsPublicKey",
	"github_branch":                  "getBranch",
	"github_issue_labels":            "getIssueLabels",
	"github_repository_deploy_keys":  "getRepositoryDeployKeys",
	"github_repository_environments": "getRepositoryEnvironments",
	"github_repository":              "getRepository",
	"github_repository_branches":     "getRepositoryBranches",
	"github_repository_file":         "getRepositoryFile",
	"github_user":                    "getUser",
}
