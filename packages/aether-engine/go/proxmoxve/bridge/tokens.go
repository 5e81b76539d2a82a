package bridge

// member is the place of a resource or function in the Pulumi package: proxmoxve:<module>/<name>:<Name>.
type member struct{ module, name string }

// The provider is renaming proxmox_virtual_environment_X to proxmox_X; the SDK calls the older names Legacy.
var resources = map[string]member{
	"proxmox_virtual_environment_vm":                              {"index", "VmLegacy"},
	"proxmox_virtual_environment_container":                       {"index", "ContainerLegacy"},
	"proxmox_virtual_environment_file":                            {"index", "FileLegacy"},
	"proxmox_virtual_environment_pool":                            {"index", "PoolLegacy"},
	"proxmox_virtual_environment_role":                            {"index", "RoleLegacy"},
	"proxmox_virtual_environment_user":                            {"index", "UserLegacy"},
	"proxmox_virtual_environment_group":                           {"index", "GroupLegacy"},
	"proxmox_virtual_environment_dns":                             {"index", "DnsLegacy"},
	"proxmox_virtual_environment_hosts":                           {"index", "HostsLegacy"},
	"proxmox_virtual_environment_time":                            {"index", "TimeLegacy"},
	"proxmox_virtual_environment_firewall_rules":                  {"firewall", "RulesLegacy"},
	"proxmox_virtual_environment_firewall_options":                {"firewall", "OptionsLegacy"},
	"proxmox_virtual_environment_cluster_firewall_security_group": {"cluster/firewall/security", "GroupLegacy"},

	"proxmox_acl":                  {"index", "Acl"},
	"proxmox_user_token":           {"user", "Token"},
	"proxmox_haresource":           {"index", "Haresource"},
	"proxmox_harule":               {"index", "Harule"},
	"proxmox_pool_membership":      {"pool", "Membership"},
	"proxmox_download_file":        {"download", "File"},
	"proxmox_hardware_mapping_dir": {"hardware/mapping", "Dir"},
	"proxmox_hardware_mapping_pci": {"hardware/mapping", "Pci"},
	"proxmox_hardware_mapping_usb": {"hardware/mapping", "Usb"},
	"proxmox_network_linux_bridge": {"network/linux", "Bridge"},
	"proxmox_network_linux_vlan":   {"network/linux", "Vlan"},
	"proxmox_metrics_server":       {"metrics", "Server"},
	"proxmox_backup_job":           {"backup", "Job"},
	"proxmox_sdn_zone_simple":      {"sdn/zone", "Simple"},
	"proxmox_sdn_zone_vlan":        {"sdn/zone", "Vlan"},
	"proxmox_sdn_vnet":             {"sdn", "Vnet"},
	"proxmox_sdn_applier":          {"sdn", "Applier"},
}

// Resources that are called what the program says: the SDK has the provider's `id` as `resourceId`, as Pulumi keeps `id` for itself.
var idIsInput = []string{"proxmox_backup_job", "proxmox_sdn_zone_simple", "proxmox_sdn_zone_vlan", "proxmox_sdn_vnet"}

// A name is ignored for resources and data sources alike, so one that is mapped above needs its data source here too.
var dataSources = map[string]member{
	"proxmox_virtual_environment_dns":        {"index", "getDnsLegacy"},
	"proxmox_virtual_environment_file":       {"index", "getFileLegacy"},
	"proxmox_virtual_environment_group":      {"index", "getGroupLegacy"},
	"proxmox_virtual_environment_hosts":      {"index", "getHostsLegacy"},
	"proxmox_virtual_environment_role":       {"index", "getRoleLegacy"},
	"proxmox_virtual_environment_time":       {"index", "getTimeLegacy"},
	"proxmox_virtual_environment_user":       {"index", "getUserLegacy"},
	"proxmox_virtual_environment_node":       {"index", "getNodeLegacy"},
	"proxmox_virtual_environment_nodes":      {"index", "getNodesLegacy"},
	"proxmox_virtual_environment_pool":       {"index", "getPoolLegacy"},
	"proxmox_virtual_environment_vm":         {"index", "getVmLegacy"},
	"proxmox_virtual_environment_vms":        {"index", "getVmsLegacy"},
	"proxmox_virtual_environment_container":  {"index", "getContainerLegacy"},
	"proxmox_virtual_environment_containers": {"index", "getContainersLegacy"},

	"proxmox_version":           {"index", "getVersion"},
	"proxmox_datastores":        {"index", "getDatastores"},
	"proxmox_file":              {"index", "getFile"},
	"proxmox_files":             {"index", "getFiles"},
	"proxmox_hardware_mappings": {"hardware", "getMappings"},

	"proxmox_hardware_mapping_dir": {"hardware/mapping", "getDir"},
	"proxmox_hardware_mapping_pci": {"hardware/mapping", "getPci"},
	"proxmox_hardware_mapping_usb": {"hardware/mapping", "getUsb"},
	"proxmox_haresource":           {"index", "getHaresource"},
	"proxmox_metrics_server":       {"metrics", "getServer"},
	"proxmox_sdn_zone_simple":      {"sdn/zone", "getSimple"},
	"proxmox_sdn_zone_vlan":        {"sdn/zone", "getVlan"},
	"proxmox_sdn_vnet":             {"sdn", "getVnet"},
}
