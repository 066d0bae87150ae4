import Engine
import ModelGraph
import Tensors

/// A weight that can be held in integers, as a matrix of outputs by what each output multiplies, with the nodes that use it.
public struct QuantizableLayer: Sendable, Equatable {
    /// The weight's name.
    public let name: String
    /// The axis of the output channels: 0, or 1 of a matrix.
    public let axis: Int
    /// Groups of channels that are multiplied apart; 1 but for grouped and depthwise convolutions.
    public let groups: Int
    /// Outputs of a group.
    public let rows: Int
    /// Inputs of a group x kernel elements.
    public let columns: Int
    /// The nodes that multiply by it, by index in the graph.
    let nodes: [Int]
    /// The values that they read.
    let inputs: [String]
    let reading: Reading

    /// How the nodes look at what they multiply.
    enum Reading: Sendable, Equatable {
        case rows
        /// Of convolutions; heights are 1 where they have one spatial axis.
        case patches(ConvolutionExtents)
        /// Of convolutions that cannot be measured: more than two spatial axes, attributes out of bounds, or two that look at their
        /// inputs in unlike ways.
        case unknown
    }

    /// Whether second moments say what it multiplies; else it can only be rounded to the nearest.
    public var isMeasurable: Bool { reading != .unknown }

    /// Whether convolutions multiply by it.
    public var isConvolution: Bool { reading != .rows }

    /// Elements of the weight.
    public var weights: Int { groups * rows * columns }

    /// The element of the weight at a row and column of a group. Precondition: it is one.
    @inline(__always)
    func element(_ group: Int, _ row: Int, _ column: Int) -> Int {
        axis == 0 ? (group * rows + row) * columns + column : column * rows + row
    }

    /// The numbers of a weight's elements as [groups, rows, columns].
    func matrix<Value>(_ elements: [Value]) -> [Value] {
        guard axis == 1 else { return elements }
        return (0..<rows).flatMap { row in (0..<columns).map { elements[$0 * rows + row] } }
    }
}

extension Graph {
    /// The weights that `quantizableWeights` lists, as matrices and in that order, but for those without elements. Call on a
    /// BN-folded graph.
    public func quantizableLayers(for target: DeploymentTarget = .x86) -> [QuantizableLayer] {
        let readers = quantizableReaders(for: target)
        return quantizableWeights(for: target).compactMap { name, axis in
            guard let shape = initializers[name]?.shape, shape.elementCount > 0, let users = readers[name] else {
                return nil
            }
            return layer(name, axis, shape, users)
        }
    }

    private func layer(_ name: String, _ axis: Int, _ shape: Shape, _ users: [Int]) -> QuantizableLayer {
        let inputs = users.map { nodes[$0].inputs[0] }
        func layer(groups: Int, _ reading: QuantizableLayer.Reading) -> QuantizableLayer {
            let rows = shape[axis] / groups
            return QuantizableLayer(
                name: name, axis: axis, groups: groups, rows: rows, columns: shape.elementCount / shape[axis],
                nodes: users, inputs: inputs, reading: reading)
        }
        guard let first = users.first, nodes[first].operatorType == "Conv" else { return layer(groups: 1, .rows) }
        // Several convolutions share a weight's moments only where they look at patches in the same way.
        let groups = Int(exactly: nodes[first].int("group") ?? 1) ?? 0
        guard groups > 0, shape[0].isMultiple(of: groups), let extents = extents(of: nodes[first], shape),
            users.allSatisfy({
                self.extents(of: nodes[$0], shape) == extents && nodes[$0].int("group") == nodes[first].int("group")
            })
        else { return layer(groups: 1, .unknown) }
        return layer(groups: groups, .patches(extents))
    }

    /// How a convolution of one or two spatial axes looks at its input, or nil where it says something impossible.
    private func extents(of node: Node, _ shape: Shape) -> ConvolutionExtents? {
        guard node.operatorType == "Conv", (3...4).contains(shape.rank) else { return nil }
        let axes = shape.rank - 2
        func list(_ key: String, _ count: Int, _ fallback: Int, _ bounds: ClosedRange<Int64>) -> [Int]? {
            guard let given = node.ints(key) else { return Array(repeating: fallback, count: count) }
            guard given.count == count, given.allSatisfy(bounds.contains) else { return nil }
            return given.map(Int.init)
        }
        guard let strides = list("strides", axes, 1, 1...65_536),
            let dilations = list("dilations", axes, 1, 1...65_536),
            let pads = list("pads", 2 * axes, 0, 0...65_536)
        else { return nil }
        let kernel = Array(shape.dimensions[2...])
        let autoPad = node.string("auto_pad").flatMap { ["", "NOTSET"].contains($0) ? nil : $0 }
        guard autoPad.map({ ["VALID", "SAME_UPPER", "SAME_LOWER"].contains($0) }) ?? true else { return nil }
        // One spatial axis is a row of pixels.
        let isFlat = axes == 1
        return ConvolutionExtents(
            kernel: isFlat ? [1] + kernel : kernel, strides: isFlat ? [1] + strides : strides,
            dilations: isFlat ? [1] + dilations : dilations, pads: isFlat ? [0, pads[0], 0, pads[1]] : pads,
            autoPad: autoPad, input: [], output: [], batch: 0)
    }
}

extension QuantizableLayer {
    /// What the layer reads as images, and which patches of them it multiplies.
    /// - Throws: `EngineError.badBatch` where a value does not fit the layer.
    func patches(of tensor: Tensor) throws -> (images: Tensor, window: PatchWindow) {
        let extentsOfValue = tensor.shape.dimensions
        guard case .patches(let extents) = reading else {
            guard reading == .rows, let width = extentsOfValue.last, width == columns, tensor.elementCount > 0 else {
                throw misfit(tensor)
            }
            return (try tensor.reshaped(to: try Shape([tensor.elementCount / width, width, 1, 1])), PatchWindow())
        }
        var images = tensor
        if extentsOfValue.count == 3 {
            images = try tensor.reshaped(to: try Shape([extentsOfValue[0], extentsOfValue[1], 1, extentsOfValue[2]]))
        }
        guard images.shape.rank == 4 else { throw misfit(tensor) }
        let pads = extents.resolvedPads(for: Array(images.shape.dimensions[2...]))
        var window = PatchWindow()
        (window.rows, window.columns) = (extents.kernel[0], extents.kernel[1])
        (window.rowStep, window.columnStep) = (extents.strides[0], extents.strides[1])
        (window.dilation, window.columnDilation) = (extents.dilations[0], extents.dilations[1])
        (window.top, window.left, window.bottom, window.right) = (pads[0], pads[1], pads[2], pads[3])
        return (images, window)
    }

    private func misfit(_ tensor: Tensor) -> EngineError {
        .badBatch("inputs of \(tensor.elementType) \(tensor.shape) do not fit the weight '\(name)'")
    }
}
