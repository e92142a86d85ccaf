package weightstest

// Keras makes a .keras file as Keras 3 does: its version, the configuration of a
// model and its weights, none of it compressed.
func Keras(version, config string, weights *File) *File {
	return Zip(
		Entry{Name: "metadata.json", Content: []byte(`{"keras_version": ` + quote(version) + `, "date_saved": "2024-05-05@12:00:00"}`)},
		Entry{Name: "config.json", Content: []byte(config)},
		Entry{Name: "model.weights.h5", Content: weights.Bytes()},
	)
}
