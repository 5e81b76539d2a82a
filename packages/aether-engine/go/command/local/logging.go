package local

import "github.com/pulumi/pulumi-go-provider/infer"

// Logging says which streams are shown while a command runs; both are kept as outputs in any case.
// The SDK has one such type a module, so this file exists twice.
type Logging string

// The four choices; none given means both.
const (
	LogStdout Logging = "stdout"
	LogStderr Logging = "stderr"
	LogBoth   Logging = "stdoutAndStderr"
	LogNone   Logging = "none"
)

// Values lists the choices for the schema.
func (Logging) Values() []infer.EnumValue[Logging] {
	return []infer.EnumValue[Logging]{
		{Name: "stdout", Value: LogStdout, Description: "Show stdout only"},
		{Name: "stderr", Value: LogStderr, Description: "Show stderr only"},
		{Name: "stdoutAndStderr", Value: LogBoth, Description: "Show both"},
		{Name: "none", Value: LogNone, Description: "Show nothing"},
	}
}

func (l *Logging) stdout() bool { return l == nil || *l == LogStdout || *l == LogBoth }
func (l *Logging) stderr() bool { return l == nil || *l == LogStderr || *l == LogBoth }
