package generate

import (
	"path"
	"slices"
	"strings"

	"github.com/tareml/tare/modelfile"
)

// task is what a model takes and gives, in words of the spec.
type task struct{ in, out string }

// tasks has what models take and give by the pipeline_tag of their card. Tasks
// that say nothing certain of a side leave it empty.
var tasks = map[string]task{
	"text-generation": {"text", "text"}, "text2text-generation": {"text", "text"}, "conversational": {"text", "text"},
	"translation": {"text", "text"}, "summarization": {"text", "text"}, "fill-mask": {"text", "text"},
	"question-answering": {"text", "text"}, "table-question-answering": {"text", "text"},
	"token-classification": {"text", "other"}, "text-classification": {"text", "other"}, "zero-shot-classification": {"text", "other"},
	"text-ranking": {"text", "other"}, "sentence-similarity": {"text", "embedding"}, "feature-extraction": {"", "embedding"},

	"image-text-to-text": {"text image", "text"}, "visual-question-answering": {"text image", "text"}, "document-question-answering": {"text image", "text"},
	"image-to-text": {"image", "text"}, "video-text-to-text": {"text video", "text"}, "audio-text-to-text": {"text audio", "text"},
	"image-feature-extraction": {"image", "embedding"}, "visual-document-retrieval": {"text image", "embedding"},
	"text-to-image": {"text", "image"}, "image-to-image": {"image", "image"}, "image-text-to-image": {"text image", "image"},
	"unconditional-image-generation": {"", "image"}, "text-to-video": {"text", "video"}, "image-to-video": {"image", "video"},
	"image-text-to-video": {"text image", "video"}, "video-to-video": {"video", "video"},
	"text-to-3d": {"text", "other"}, "image-to-3d": {"image", "other"},
	"image-classification": {"image", "other"}, "object-detection": {"image", "other"}, "keypoint-detection": {"image", "other"},
	"zero-shot-image-classification": {"text image", "other"}, "zero-shot-object-detection": {"text image", "other"},
	"image-segmentation": {"image", "image"}, "mask-generation": {"image", "image"}, "depth-estimation": {"image", "image"},
	"video-classification": {"video", "other"},

	"automatic-speech-recognition": {"audio", "text"}, "text-to-speech": {"text", "audio"}, "text-to-audio": {"text", "audio"},
	"audio-to-audio": {"audio", "audio"}, "audio-classification": {"audio", "other"}, "voice-activity-detection": {"audio", "other"},

	"tabular-classification": {"other", "other"}, "tabular-regression": {"other", "other"}, "time-series-forecasting": {"other", "other"},
}

// libraries have models of one sort.
var libraries = map[string]task{
	"sentence-transformers": {"text", "embedding"}, "setfit": {"text", "other"}, "spacy": {"text", "other"}, "flair": {"text", "other"},
	"span-marker": {"text", "other"}, "fasttext": {"text", ""}, "open_clip": {"text image", "embedding"}, "timm": {"image", ""},
	"ultralytics": {"image", "other"}, "pyannote-audio": {"audio", "other"}, "sklearn": {"", "other"},
}

// sayModalities states what the model takes and gives: by its card, else by its
// configs.
func (s *study) sayModalities(c card, l layout) {
	if l.sentences {
		s.say(modelfile.Output, "from "+modulesName, "embedding")
	}
	tags := c.meta["pipeline_tag"]
	if tags == nil {
		tags = c.meta["tags"]
	}
	in, out := tagged(tags)
	// The one tag for images and text is that of models for videos too.
	if slices.Contains(in, "image") && slices.Contains(in, "text") && l.main.has("video_token_id", "video_token_index") {
		in = append(in, "video")
	}
	s.say(modelfile.Input, "from "+c.file, in...)
	s.say(modelfile.Output, "from "+c.file, out...)

	in, out = l.main.modalities()
	s.say(modelfile.Input, "from "+path.Base(l.main.file), in...)
	s.say(modelfile.Output, "from "+path.Base(l.main.file), out...)
	if slices.ContainsFunc(l.main.architectures, func(a string) bool { return strings.Contains(a, "RewardModel") }) {
		s.say(modelfile.Reward, "from "+l.main.file, "true")
	}
	in, out = pipelineModalities(l.pipeline)
	s.say(modelfile.Input, "from "+pipelineName, in...)
	s.say(modelfile.Output, "from "+pipelineName, out...)
	library := libraries[strings.ToLower(c.meta.first("library_name"))]
	s.say(modelfile.Input, "from "+c.file, strings.Fields(library.in)...)
	s.say(modelfile.Output, "from "+c.file, strings.Fields(library.out)...)
}

// tagged is what the tasks among the tags take and give, if they agree on it.
func tagged(tags []string) (in, out []string) {
	var found task
	for _, tag := range tags {
		t, ok := tasks[tag]
		if ok && found != (task{}) && t != found {
			return nil, nil
		}
		if ok {
			found = t
		}
	}
	return strings.Fields(found.in), strings.Fields(found.out)
}

// modalities are what the classes of a config tell for certain.
func (c config) modalities() (in, out []string) {
	is := func(end string) bool {
		return slices.ContainsFunc(c.architectures, func(a string) bool { return strings.HasSuffix(a, end) })
	}
	sees, hears := c.has("vision_config"), c.has("audio_config")
	switch {
	case slices.ContainsFunc(c.architectures, func(a string) bool { return strings.Contains(a, "RewardModel") }):
		return []string{"text"}, []string{"other"}
	case c.family == "whisper":
		return []string{"audio"}, []string{"text"}
	case is("ForCausalLM") || is("LMHeadModel") || is("ForConditionalGeneration") && (sees || hears || isTextToText(c.family)):
		in = []string{"text"}
	default:
		return nil, nil
	}
	if sees {
		in = append(in, "image")
	}
	if hears {
		in = append(in, "audio")
	}
	if sees && c.has("video_token_id", "video_token_index") {
		in = append(in, "video")
	}
	if c.has("talker_config") { // what it says with it can be told only by its card
		return in, nil
	}
	return in, []string{"text"}
}

// isTextToText knows the families of encoders and decoders of text, which share
// the end of their classes with others.
func isTextToText(family string) bool {
	return slices.Contains([]string{"t5", "mt5", "umt5", "longt5", "bart", "mbart", "pegasus", "led", "m2m_100", "blenderbot", "switch_transformers"}, family)
}

// pipelineModalities tells by the class of a diffusers pipeline.
func pipelineModalities(class string) (in, out []string) {
	switch class {
	case "FluxPipeline", "StableDiffusionPipeline", "StableDiffusionXLPipeline", "StableDiffusion3Pipeline", "PixArtAlphaPipeline",
		"PixArtSigmaPipeline", "SanaPipeline", "KolorsPipeline", "HunyuanDiTPipeline", "AuraFlowPipeline", "QwenImagePipeline", "Lumina2Pipeline":
		return []string{"text"}, []string{"image"}
	case "WanPipeline", "CogVideoXPipeline", "HunyuanVideoPipeline", "MochiPipeline", "TextToVideoSDPipeline":
		return []string{"text"}, []string{"video"}
	}
	return nil, nil
}
