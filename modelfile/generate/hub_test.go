package generate

import "testing"

func TestHub(t *testing.T) {
	metadata := func(commit string) string { return commit + "\n\"etag\"\n1700000000.0\n" }
	pickle4 := "\x80\x04\x95\x1c\x00\x00\x00\x00\x00\x00\x00}\x94\x8c\x02id\x94\x8c\x0fQwen/Qwen3-0.6B\x94s."
	pickle3 := "\x80\x03}q\x00X\x02\x00\x00\x00idq\x01X\x0f\x00\x00\x00Qwen/Qwen3-0.6Bq\x02s."
	const scope = "SOURCEURL https://modelscope.cn/models/Qwen/Qwen3-0.6B\n"
	tests := []struct {
		name, dir string
		files     model
		want      string
	}{
		{"the cache", "models--Qwen--Qwen3-0.6B/snapshots/" + commitA, model{}, "SOURCEURL https://huggingface.co/Qwen/Qwen3-0.6B\nREVISION " + commitA + "\n"},
		{"a model without an owner", "models--gpt2/snapshots/" + commitA, model{}, "SOURCEURL https://huggingface.co/gpt2\nREVISION " + commitA + "\n"},
		{"no commit", "models--gpt2/snapshots/main", model{}, ""},
		{"a data set", "datasets--gpt2/snapshots/" + commitA, model{}, ""},
		{"downloaded", "x", model{".cache/huggingface/download/m.dlc.metadata": metadata(commitA), ".cache/huggingface/download/gone.bin.metadata": metadata(commitB)},
			"REVISION " + commitA + "\n"},
		{"downloaded twice", "x", model{".cache/huggingface/download/m.dlc.metadata": metadata(commitA), ".cache/huggingface/download/sub/n.dlc.metadata": metadata(commitB), "sub/n.dlc": "x"},
			"- the files are from 2 commits of a repository on Hugging Face, so that REVISION is left out\n"},
		{"odd", "x", model{".cache/huggingface/download/m.dlc.metadata": "main\n"}, ""},
		{"ModelScope", "x", model{".mdl": pickle4, ".mv": "Revision:v1.0.2,CreatedAt:1700000000"}, scope + "REVISION v1.0.2\n"},
		{"ModelScope, of old", "x", model{".mdl": pickle3, ".mv": "Revision:master,CreatedAt:1700000000"}, scope},
		{"ModelScope, odd", "x", model{".mdl": "\x80\x04cos\nsystem\n.", ".mv": "Revision:v1.0.2"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.files["m.dlc"] = "x"
			if got := origin(t, tt.files.write(t, tt.dir)); got != tt.want {
				t.Errorf("got\n%swant\n%s", got, tt.want)
			}
		})
	}
}
