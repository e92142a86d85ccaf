package modelfile

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"
	specv1 "github.com/modelpack/model-spec/specs-go/v1"

	"github.com/tareml/tare/modelpack"
)

// The commands.
const (
	Name         = "NAME"
	Arch         = "ARCH"
	Family       = "FAMILY"
	Format       = "FORMAT"
	ParamSize    = "PARAMSIZE"
	Precision    = "PRECISION"
	Quantization = "QUANTIZATION"

	Config  = "CONFIG"
	Model   = "MODEL"
	Code    = "CODE"
	Dataset = "DATASET"
	Doc     = "DOC"

	Version     = "VERSION"
	Title       = "TITLE"
	Description = "DESCRIPTION"
	Author      = "AUTHOR"
	Vendor      = "VENDOR"
	License     = "LICENSE"
	DocURL      = "DOCURL"
	SourceURL   = "SOURCEURL"
	Revision    = "REVISION"
	DatasetURL  = "DATASETURL"
	Language    = "LANGUAGE"

	Input           = "INPUT"
	Output          = "OUTPUT"
	Reasoning       = "REASONING"
	ToolUsage       = "TOOLUSAGE"
	Reward          = "REWARD"
	KnowledgeCutoff = "KNOWLEDGECUTOFF"
)

// Rule is what the grammar says of one command.
type Rule struct {
	Command string
	Value   string         // what the value is, in a word or two
	Doc     string         // what the command says, in a line
	Repeats bool           // whether a file may have several of it
	Files   bool           // whether the value is a glob for files
	Kind    modelpack.Kind // of those files
	Modctl  bool           // whether modctl knows the command

	// check says what is wrong with a value, and what to do about it. Both are
	// empty if nothing is.
	check func(value string) (msg, hint string)

	// advise does the same for values that are allowed, and that other tools may
	// not understand.
	advise func(value string) (msg, hint string)
}

// Grammar lists all commands in the order in which documentation has them.
func Grammar() []Rule { return slices.Clone(grammar[:]) }

// KindCommand is the command for files of kind k.
func KindCommand(k modelpack.Kind) string {
	i := slices.IndexFunc(grammar[:], func(r Rule) bool { return r.Files && r.Kind == k })
	return grammar[i].Command
}

var grammar = [...]Rule{
	{Command: Name, Value: "text", Doc: "name of the model, such as qwen3-0.6b", Modctl: true},
	{Command: Arch, Value: "text", Doc: "architecture, such as transformer or cnn", Modctl: true, advise: adviseArch},
	{Command: Family, Value: "text", Doc: "family, such as qwen3 or llama", Modctl: true},
	{Command: Format, Value: "text", Doc: "format of the weights, such as safetensors or gguf", Modctl: true, advise: adviseFormat},
	{Command: ParamSize, Value: "text", Doc: "number of parameters, such as 0.6B", Modctl: true, advise: adviseParamSize},
	{Command: Precision, Value: "text", Doc: "precision of the weights, such as bfloat16", Modctl: true, advise: advisePrecision},
	{Command: Quantization, Value: "text", Doc: "quantization of the weights, such as awq", Modctl: true, advise: adviseQuantization},

	files(Config, modelpack.Config, "configuration that the weights need, tokenizers too"),
	files(Model, modelpack.Model, "weights"),
	files(Code, modelpack.Code, "scripts and libraries"),
	files(Dataset, modelpack.Dataset, "data"),
	files(Doc, modelpack.Doc, "documentation and licences"),

	{Command: Version, Value: "text", Doc: "version of what is packaged"},
	{Command: Title, Value: "text", Doc: "title for people to read"},
	{Command: Description, Value: "text", Doc: "description for people to read"},
	{Command: Author, Value: "text", Doc: "a person or organisation behind the model, with contact details", Repeats: true},
	{Command: Vendor, Value: "text", Doc: "who distributes the model"},
	{Command: License, Value: "SPDX expression", Doc: "a licence that the content is under", Repeats: true, advise: adviseLicense},
	{Command: DocURL, Value: "URL", Doc: "where the documentation is", advise: adviseURL},
	{Command: SourceURL, Value: "URL", Doc: "where the source code is", advise: adviseURL},
	{Command: Revision, Value: "text", Doc: "revision of the source"},
	{Command: DatasetURL, Value: "URL", Doc: "where a dataset is that the model was trained on", Repeats: true, advise: adviseURL},
	{Command: Language, Value: "ISO 639 code", Doc: "a language that the model speaks", Repeats: true, advise: adviseLanguage},

	{Command: Input, Value: "modality", Doc: "what the model takes: " + modalityList, Repeats: true, check: checkModality},
	{Command: Output, Value: "modality", Doc: "what the model gives, a modality as for INPUT", Repeats: true, check: checkModality},
	{Command: Reasoning, Value: "true or false", Doc: "whether the model reasons", check: checkBool},
	{Command: ToolUsage, Value: "true or false", Doc: "whether the model uses tools", check: checkBool},
	{Command: Reward, Value: "true or false", Doc: "whether the model is a reward model", check: checkBool},
	{Command: KnowledgeCutoff, Value: "date", Doc: "when the training data ends, such as 2025-01-31", check: checkDate},
}

func files(command string, kind modelpack.Kind, doc string) Rule {
	return Rule{Command: command, Value: "glob", Doc: doc, Repeats: true, Files: true, Kind: kind, Modctl: true, check: checkGlob}
}

// lookup finds the rule for a command in upper case.
func lookup(command string) (Rule, bool) {
	i := slices.IndexFunc(grammar[:], func(r Rule) bool { return r.Command == command })
	if i < 0 {
		return Rule{}, false
	}
	return grammar[i], true
}

// modalityList is spelt out for the sake of the documentation; a test holds it
// to what checkModality takes.
const modalityList = "text, image, audio, video, embedding or other"

func modalities() []string {
	return []string{
		string(specv1.TextModality), string(specv1.ImageModality), string(specv1.AudioModality),
		string(specv1.VideoModality), string(specv1.EmbeddingModality), string(specv1.OtherModality),
	}
}

func checkModality(value string) (msg, hint string) {
	if slices.Contains(modalities(), value) {
		return "", ""
	}
	return fmt.Sprintf("%s is no modality", quoteShort(value)), didYouMean(strings.ToLower(value), modalities(), "use "+modalityList)
}

func checkBool(value string) (msg, hint string) {
	if value == "true" || value == "false" {
		return "", ""
	}
	return fmt.Sprintf("%s is neither true nor false", quoteShort(value)), ""
}

func checkDate(value string) (msg, hint string) {
	if _, err := ParseDate(value); err != nil {
		return err.Error(), "write it as 2025-01-31 or 2025-01-31T12:00:00Z"
	}
	return "", ""
}

func checkGlob(value string) (msg, hint string) {
	if doublestar.ValidatePattern(value) {
		return "", ""
	}
	return fmt.Sprintf("malformed glob %s", quoteShort(value)), `write \[ \{ \} for brackets that are part of a name`
}

// ParseDate reads the value of KNOWLEDGECUTOFF, a date or a date-time as RFC 3339
// has them. A date is midnight UTC.
func ParseDate(value string) (time.Time, error) {
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(layout, value); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%s is no date", quoteShort(value))
}
