package cmd

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tareml/tare/registry"
	"github.com/tareml/tare/registry/ecr"
)

// amazon asks AWS for credentials for Amazon ECR where next knows none. AWS is
// reached as registries are.
func amazon(o registry.Options, next registry.CredentialStore) *ecr.Store {
	return ecr.New(ecr.Options{Transport: o.Share, UserAgent: o.UserAgent, Debug: o.ShowCall}, next)
}

// repositoryFlag is the flag of commands that push.
type repositoryFlag struct{ createRepository bool }

func (f *repositoryFlag) register(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.createRepository, "create-repository", false, "create the repository first if it is missing\n(Amazon ECR; others do that by themselves)")
}

// check finds out before the work begins whether the repository can be created.
func (f *repositoryFlag) check(ref registry.Reference) error {
	if !f.createRepository || ecr.Handles(ref.Registry) {
		return nil
	}
	return usage(withHint(fmt.Errorf("--create-repository: %s is not Amazon ECR", ref.Registry),
		"leave it out: other registries create repositories by themselves, or have a project for them"))
}

// ensure creates the repository of ref if the flag says so and it is missing.
func (f *repositoryFlag) ensure(cmd *cobra.Command, remote remoteFlags, ref registry.Reference) error {
	if !f.createRepository {
		return nil
	}
	o, err := remote.options()
	if err != nil {
		return err
	}
	created, err := amazon(o, registry.DockerCredentials()).CreateRepository(cmd.Context(), ref.Registry, ref.Repository)
	if created {
		note(cmd, "created the repository %s", ref.Name())
	}
	return err
}
