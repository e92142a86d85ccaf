package build

import (
	"strings"
	"time"

	specv1 "github.com/modelpack/model-spec/specs-go/v1"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/tareml/tare/modelfile"
	"github.com/tareml/tare/modelpack"
)

// The spec's config has no place for these yet, so they are annotations.
const (
	annotationLanguages  = "io.github.tareml.languages"
	annotationDatasetURL = "io.github.tareml.datasets"
)

// config is the artifact's config: the Modelfile's values in the spec's words.
func config(f *modelfile.File, diffIDs []digest.Digest, created *time.Time) modelpack.ModelConfig {
	c := modelpack.ModelConfig{
		Descriptor: specv1.ModelDescriptor{
			Authors:     f.Values(modelfile.Author),
			Family:      f.Value(modelfile.Family),
			Name:        f.Value(modelfile.Name),
			DocURL:      f.Value(modelfile.DocURL),
			SourceURL:   f.Value(modelfile.SourceURL),
			Version:     f.Value(modelfile.Version),
			Revision:    f.Value(modelfile.Revision),
			Vendor:      f.Value(modelfile.Vendor),
			Licenses:    f.Values(modelfile.License),
			Title:       f.Value(modelfile.Title),
			Description: f.Value(modelfile.Description),
		},
		ModelFS: specv1.ModelFS{Type: "layers", DiffIDs: diffIDs},
		Config: specv1.ModelConfig{
			Architecture: f.Value(modelfile.Arch),
			Format:       f.Value(modelfile.Format),
			ParamSize:    f.Value(modelfile.ParamSize),
			Precision:    f.Value(modelfile.Precision),
			Quantization: f.Value(modelfile.Quantization),
			Capabilities: capabilities(f),
		},
	}
	if created != nil {
		t := created.UTC().Truncate(time.Second)
		c.Descriptor.CreatedAt = &t
	}
	return c
}

// capabilities is nil if the Modelfile says nothing of them.
func capabilities(f *modelfile.File) *specv1.ModelCapabilities {
	c := specv1.ModelCapabilities{
		InputTypes:  modalities(f.Values(modelfile.Input)),
		OutputTypes: modalities(f.Values(modelfile.Output)),
		Reasoning:   boolean(f.Value(modelfile.Reasoning)),
		ToolUsage:   boolean(f.Value(modelfile.ToolUsage)),
		Reward:      boolean(f.Value(modelfile.Reward)),
	}
	c.KnowledgeCutoff = cutoff(f.Value(modelfile.KnowledgeCutoff))
	if c.InputTypes == nil && c.OutputTypes == nil && c.Reasoning == nil && c.ToolUsage == nil && c.Reward == nil && c.KnowledgeCutoff == nil {
		return nil
	}
	return &c
}

func modalities(values []string) []specv1.Modality {
	var ms []specv1.Modality
	for _, v := range values {
		ms = append(ms, specv1.Modality(v))
	}
	return ms
}

// boolean is nil for a command that is not there.
func boolean(value string) *bool {
	if value == "" {
		return nil
	}
	b := value == "true"
	return &b
}

// cutoff is nil for a command that is not there; the parser let only dates by.
func cutoff(value string) *time.Time {
	t, err := modelfile.ParseDate(value)
	if err != nil {
		return nil
	}
	return &t
}

// annotations are the manifest's, in OCI's own words where it has them.
func annotations(f *modelfile.File) map[string]string {
	all := map[string]string{
		ocispec.AnnotationTitle:         f.Value(modelfile.Title),
		ocispec.AnnotationDescription:   f.Value(modelfile.Description),
		ocispec.AnnotationDocumentation: f.Value(modelfile.DocURL),
		ocispec.AnnotationSource:        f.Value(modelfile.SourceURL),
		ocispec.AnnotationRevision:      f.Value(modelfile.Revision),
		ocispec.AnnotationVersion:       f.Value(modelfile.Version),
		ocispec.AnnotationVendor:        f.Value(modelfile.Vendor),
		ocispec.AnnotationAuthors:       strings.Join(f.Values(modelfile.Author), ", "),
		// several licences hold together: an SPDX expression says so with AND
		ocispec.AnnotationLicenses: strings.Join(f.Values(modelfile.License), " AND "),
		annotationLanguages:        strings.Join(f.Values(modelfile.Language), ","),
		annotationDatasetURL:       strings.Join(f.Values(modelfile.DatasetURL), " "),
	}
	for key, value := range all {
		if value == "" {
			delete(all, key)
		}
	}
	if len(all) == 0 {
		return nil
	}
	return all
}
