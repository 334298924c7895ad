// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
	apimachineryversion "k8s.io/apimachinery/pkg/version"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/discovery"
	"sigs.k8s.io/yaml"

	"fleet.dev/fleet/pkg/apis/wellknown"
)

// versions is what "fleet version -o json" prints.
type versions struct {
	ClientVersion clientVersion             `json:"clientVersion"`
	ServerVersion *apimachineryversion.Info `json:"serverVersion,omitempty"`
}

// clientVersion is the version of this program.
type clientVersion struct {
	// Version is the tag or commit it was built from.
	Version string `json:"version"`
	// Revision is the commit, empty when it was not built from a repository.
	Revision  string `json:"revision,omitempty"`
	GoVersion string `json:"goVersion"`
	Platform  string `json:"platform"`
}

// ownVersion returns the version linked into the program and, of a build from a
// repository, what the Go toolchain stamped.
func ownVersion() clientVersion {
	version := clientVersion{
		Version:   wellknown.Version,
		GoVersion: runtime.Version(),
		Platform:  runtime.GOOS + "/" + runtime.GOARCH,
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return version
	}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" {
			version.Revision = setting.Value
		}
	}
	return version
}

type versionOptions struct {
	flags      *kubeconfigFlags
	clientOnly bool
	output     string
	genericiooptions.IOStreams
}

func newVersionCommand(name string, streams genericiooptions.IOStreams) *cobra.Command {
	o := &versionOptions{flags: newKubeconfigFlags(), IOStreams: streams}
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version of this program and of the fleet",
		Long: `Print the version of this program, and the version of Kubernetes that the fleet
serves.`,
		Example: examples(name,
			"# Both versions",
			"{fleet} version",
			"",
			"# This program's alone, for a script",
			"{fleet} version --client -o json"),
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(*cobra.Command, []string) error { return o.run() },
	}
	o.flags.add(cmd.Flags())
	cmd.Flags().BoolVar(&o.clientOnly, "client", false, "Print the version of this program only; no server is asked.")
	cmd.Flags().StringVarP(&o.output, "output", "o", "", "Output format: json or yaml.")
	completeFlag(cmd, "output", fixed("json", "yaml"))
	completeFlag(cmd, "context", o.flags.contexts)
	return cmd
}

// run prints what it can: without a server this program's version comes first
// and then the error.
func (o *versionOptions) run() error {
	if o.output != "" && o.output != "json" && o.output != "yaml" {
		return fmt.Errorf("unknown output format %q, expected json or yaml", o.output)
	}
	found := versions{ClientVersion: ownVersion()}
	var serverErr error
	if !o.clientOnly {
		found.ServerVersion, serverErr = o.serverVersion()
	}
	if err := printVersions(o.Out, o.output, found); err != nil {
		return err
	}
	return serverErr
}

func (o *versionOptions) serverVersion() (*apimachineryversion.Info, error) {
	config, err := o.flags.config()
	if err != nil {
		return nil, err
	}
	client, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make a client to the fleet: %w", err)
	}
	version, err := client.ServerVersion()
	if err != nil {
		return nil, fmt.Errorf("ask the fleet for its version: %w", err)
	}
	return version, nil
}

func printVersions(out io.Writer, format string, found versions) error {
	var text []byte
	var err error
	switch format {
	case "json":
		text, err = json.MarshalIndent(found, "", "  ")
		text = append(text, '\n')
	case "yaml":
		text, err = yaml.Marshal(found)
	default:
		text = fmt.Appendf(nil, "Client Version: %s\n", found.ClientVersion.Version)
		if found.ServerVersion != nil {
			text = fmt.Appendf(text, "Server Version: %s\n", found.ServerVersion.GitVersion)
		}
	}
	if err != nil {
		return fmt.Errorf("print the versions as %s: %w", format, err)
	}
	_, err = out.Write(text)
	return err
}
