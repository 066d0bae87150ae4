import ModelGraph
import Tensors

/// A layer whose weight can be replaced by a product of smaller ones, with what that needs of its surroundings. Its name is
/// that of its weight.
public struct FactorizableLayer: Sendable, Equatable {
    /// What the layer computes.
    enum Form: Sendable, Equatable {
        /// x W over the last axis.
        case dense(DenseLayout)
        case convolution(ConvolutionExtents)
    }

    /// The weight's name.
    public let name: String
    /// The node's name.
    public let node: String
    let nodeIndex: Int
    let form: Form
    /// Channels, or features.
    public let inputs: Int
    public let outputs: Int
    /// Products with the whole weight in a pass of one sample; 1 for a perceptron.
    let places: Int
    /// The value that the layer reads.
    let input: String
    /// What the layer computes, where its outputs say all that a decomposition needs of its data in fewer numbers than its
    /// inputs do; nil elsewhere.
    var output: LayerOutput?

    /// Whether the layer is a plain matrix: dense, or a convolution of one pixel.
    public var isMatrix: Bool {
        guard case .convolution(let extents) = form else { return true }
        return extents.kernel == [1, 1]
    }

    /// The kernel's elements; 1 for a matrix.
    var kernelElements: Int {
        guard case .convolution(let extents) = form else { return 1 }
        return extents.kernel[0] * extents.kernel[1]
    }

    /// Elements of the weight.
    public var parameters: Int { inputs * outputs * kernelElements }
    /// Multiply-accumulates of one sample.
    public var macs: Int { saturatingProduct([parameters, places]) }

    /// Whether its outputs are measured, not its inputs.
    var readsOutputs: Bool { output != nil }

    /// The convolution's extents. Precondition: it is one.
    var convolution: ConvolutionExtents {
        guard case .convolution(let extents) = form else { preconditionFailure("'\(name)' is no convolution") }
        return extents
    }
}

/// A value that is a product with the weight, plus a bias that is known.
struct LayerOutput: Sendable, Equatable {
    /// The value's name.
    let value: String
    /// The parameter of as many numbers as the layer has outputs, or of one.
    let bias: String?
    /// What the bias is multiplied by.
    let scale: Float
}

/// How a file stores a matrix.
struct DenseLayout: Sendable, Equatable {
    /// Whether W is [outputs, inputs].
    var outputsFirst: Bool
    /// The node that turns it before it is read, if there is one.
    var transpose: Int?
    /// Gemm reads matrices either way, MatMul as [inputs, outputs] alone.
    var isGemm: Bool

    /// Whether factors are [outputs, inputs].
    var factorsOutputsFirst: Bool { outputsFirst && isGemm }
}

/// Heights first, then widths.
struct ConvolutionExtents: Sendable, Equatable {
    var kernel: [Int]
    var strides: [Int]
    var dilations: [Int]
    /// Top, left, bottom, right; not used where `autoPad` says something else.
    var pads: [Int]
    /// SAME_UPPER, SAME_LOWER or VALID.
    var autoPad: String?
    /// Of the values read and computed, for one sample.
    var input: [Int]
    var output: [Int]
    /// The extent of the first axis, which is the batch.
    var batch: Int
}

/// A product that stops at the largest integer: extents come from files.
func saturatingProduct(_ factors: [Int]) -> Int {
    factors.reduce(1) { product, factor in
        let (next, overflow) = product.multipliedReportingOverflow(by: factor)
        return overflow ? .max : next
    }
}

func saturatingSum(_ terms: [Int]) -> Int {
    terms.reduce(0) { sum, term in
        let (next, overflow) = sum.addingReportingOverflow(term)
        return overflow ? .max : next
    }
}
