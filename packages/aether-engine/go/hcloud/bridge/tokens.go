package bridge

// The tokens are hcloud:index/<name>:<Name>.
var resources = map[string]string{
	"hcloud_firewall":   "Firewall",
	"hcloud_primary_ip": "PrimaryIp",
	"hcloud_server":     "Server",
	"hcloud_ssh_key":    "SshKey",
	"hcloud_volume":     "Volume",
}
