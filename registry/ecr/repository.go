package ecr

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	ecrtypes "github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/aws-sdk-go-v2/service/ecrpublic"
	publictypes "github.com/aws/aws-sdk-go-v2/service/ecrpublic/types"

	"github.com/tareml/tare/registry"
)

// CreateRepository makes the repository unless it is there, and says whether it
// was missing. The name of the registry is one that [Handles] knows.
func (s *Store) CreateRepository(ctx context.Context, name, repository string) (created bool, err error) {
	h, ok := parse(name)
	if !ok {
		return false, fmt.Errorf("%s is no registry of Amazon ECR", name)
	}
	config, err := s.options.config(ctx, h, true)
	if err == nil {
		within, cancel := context.WithTimeout(ctx, answerTimeout)
		defer cancel()
		created, err = create(within, config, h, repository)
	}
	if err != nil {
		return false, fmt.Errorf("creating the repository %s/%s: %w", name, repository, err)
	}
	return created, nil
}

func create(ctx context.Context, config aws.Config, h home, repository string) (created bool, err error) {
	if h.public {
		_, bare, ok := strings.Cut(repository, "/")
		if !ok {
			return false, &problem{text: "the alias of the registry is missing", hint: "the name is public.ecr.aws/ALIAS/" + repository}
		}
		_, err = ecrpublic.NewFromConfig(config).CreateRepository(ctx, &ecrpublic.CreateRepositoryInput{RepositoryName: &bare})
	} else {
		_, err = ecr.NewFromConfig(config).CreateRepository(ctx, &ecr.CreateRepositoryInput{RegistryId: &h.account, RepositoryName: &repository})
	}
	if exists(err) {
		return false, nil
	}
	if err != nil {
		return false, refused("asking AWS", err)
	}
	return true, nil
}

func exists(err error) bool {
	_, private := errors.AsType[*ecrtypes.RepositoryAlreadyExistsException](err)
	_, public := errors.AsType[*publictypes.RepositoryAlreadyExistsException](err)
	return private || public
}

// Advise implements [registry.Adviser].
func (s *Store) Advise(name string, r registry.Refusal) string {
	h, ok := parse(name)
	if !ok {
		if next, ok := s.CredentialStore.(registry.Adviser); ok {
			return next.Advise(name, r)
		}
		return ""
	}
	switch {
	case r.Code == "NAME_UNKNOWN" && r.Writing:
		return createHint(h, r.Repository)
	case strings.Contains(r.Message, "authorization token has expired"):
		return fmt.Sprintf("tare logout %s removes the old token; with AWS credentials none has to be saved", name)
	case r.Anonymous:
		return credentialsHint
	}
	return permissionHint(r.Message)
}

// createHint is the command that makes a repository.
func createHint(h home, repository string) string {
	if h.public {
		_, bare, _ := strings.Cut(repository, "/")
		return fmt.Sprintf("aws ecr-public create-repository --repository-name %s --region %s, or --create-repository", bare, h.region)
	}
	return fmt.Sprintf("aws ecr create-repository --repository-name %s --region %s, or --create-repository", repository, h.region)
}
