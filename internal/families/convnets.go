package families

import (
	"fmt"

	"github.com/tareml/tare/internal/weightstest"
)

// convNet lists the variables of a network as Keras names them in a SavedModel.
type convNet struct {
	layers int
	all    []Tensor
}

func (c *convNet) layer(variables ...Tensor) {
	for _, v := range variables {
		v.Name = fmt.Sprintf("layer_with_weights-%d/%s/.ATTRIBUTES/VARIABLE_VALUE", c.layers, v.Name)
		v.DType = "F32"
		c.all = append(c.all, v)
	}
	c.layers++
}

// conv is a convolution with a kernel of k by k.
func (c *convNet) conv(k, in, out int64, bias bool) {
	kernel := Tensor{Name: "kernel", Shape: []int64{k, k, in, out}}
	if bias {
		c.layer(kernel, Tensor{Name: "bias", Shape: []int64{out}})
		return
	}
	c.layer(kernel)
}

// norm is a batch normalisation.
func (c *convNet) norm(n int64) {
	var variables []Tensor
	for _, name := range []string{"beta", "gamma", "moving_mean", "moving_variance"} {
		variables = append(variables, Tensor{Name: name, Shape: []int64{n}})
	}
	c.layer(variables...)
}

func (c *convNet) dense(in, out int64) {
	c.layer(Tensor{Name: "kernel", Shape: []int64{in, out}}, Tensor{Name: "bias", Shape: []int64{out}})
}

// EfficientNet is EfficientNet-B0 without the layer that normalises its input.
func EfficientNet() []Tensor {
	var c convNet
	c.conv(3, 3, 32, false)
	c.norm(32)
	in := int64(32)
	for _, stage := range []struct{ kernel, blocks, out, widen int64 }{
		{3, 1, 16, 1}, {3, 2, 24, 6}, {5, 2, 40, 6}, {3, 3, 80, 6}, {5, 3, 112, 6}, {5, 4, 192, 6}, {3, 1, 320, 6},
	} {
		for range stage.blocks {
			c.mobileBlock(stage.kernel, in, in*stage.widen, stage.out)
			in = stage.out
		}
	}
	c.conv(1, in, 1280, false)
	c.norm(1280)
	c.dense(1280, 1000)
	return c.all
}

// mobileBlock widens, convolves each channel by itself, weighs the channels and
// narrows again.
func (c *convNet) mobileBlock(kernel, in, wide, out int64) {
	if wide != in {
		c.conv(1, in, wide, false)
		c.norm(wide)
	}
	c.layer(Tensor{Name: "depthwise_kernel", Shape: []int64{kernel, kernel, wide, 1}})
	c.norm(wide)
	c.conv(1, wide, in/4, true)
	c.conv(1, in/4, wide, true)
	c.conv(1, wide, out, false)
	c.norm(out)
}

// ResNet is ResNet-50 of Keras, whose convolutions have biases.
func ResNet() []Tensor {
	var c convNet
	conv := func(k, in, out int64) {
		c.conv(k, in, out, true)
		c.norm(out)
	}
	conv(7, 3, 64)
	in := int64(64)
	for stage, blocks := range []int{3, 4, 6, 3} {
		width := int64(64 << stage)
		for i := range blocks {
			if i == 0 {
				conv(1, in, 4*width)
			}
			conv(1, in, width)
			conv(3, width, width)
			conv(1, width, 4*width)
			in = 4 * width
		}
	}
	c.dense(in, 1000)
	return c.all
}

// Trained adds to the variables of a network what Keras saves of its training with
// Adam.
func Trained(variables []Tensor) []Tensor {
	const value = "/.ATTRIBUTES/VARIABLE_VALUE"
	all := append(variables[:len(variables):len(variables)],
		weightstest.T("_CHECKPOINTABLE_OBJECT_GRAPH", "STRING"), weightstest.T("save_counter"+value, "I64"),
		weightstest.T("keras_api/metrics/0/total"+value, "F32"), weightstest.T("optimizer/iter"+value, "I64"), weightstest.T("optimizer/beta_1"+value, "F32"))
	for _, v := range variables {
		for _, slot := range []string{"m", "v"} {
			all = append(all, Tensor{Name: v.Name[:len(v.Name)-len(value)] + "/.OPTIMIZER_SLOT/optimizer/" + slot + value, DType: v.DType, Shape: v.Shape})
		}
	}
	return all
}
