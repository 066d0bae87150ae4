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
    /// Of a convolution; heights are 1 where it has one spatial axis.
    let extents: ConvolutionExtents?

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

/// The weights of a deployed graph that can be held in integers.
public struct QuantizableLayers: Sendable, Equatable {
    /// In the order of use, as `Graph.quantizableWeights`.
    public var layers: [QuantizableLayer] = []
    /// Those whose inputs cannot be measured (more than two spatial axes, or attributes out of bounds), by weight.
    public var unmeasured: [String] = []
}

extension Graph {
    /// The weights that `quantizableWeights` lists, as matrices. Call on a BN-folded graph.
    public func quantizableLayers(for target: DeploymentTarget = .x86) -> QuantizableLayers {
        var uses: [String: [Int]] = [:]
        for (index, node) in nodes.enumerated() where node.domain.isEmpty && node.inputs.count >= 2 {
            guard ["Conv", "Gemm", "MatMul"].contains(node.operatorType) else { continue }
            uses[node.inputs[1], default: []].append(index)
        }
        var found = QuantizableLayers()
        for (name, axis) in quantizableWeights(for: target) {
            guard let shape = initializers[name]?.shape, let users = uses[name] else { continue }
            if let layer = layer(name, axis, shape, users) {
                found.layers.append(layer)
            } else {
                found.unmeasured.append(name)
            }
        }
        return found
    }

    private func layer(_ name: String, _ axis: Int, _ shape: Shape, _ users: [Int]) -> QuantizableLayer? {
        let kinds = users.map { nodes[$0].operatorType == "Conv" }
        let inputs = users.map { nodes[$0].inputs[0] }
        guard shape.elementCount > 0, inputs.allSatisfy({ initializers[$0] == nil }) else { return nil }
        guard kinds.contains(true) else {
            guard shape.rank == 2 else { return nil }
            return QuantizableLayer(
                name: name, axis: axis, groups: 1, rows: shape[axis], columns: shape[1 - axis], nodes: users,
                inputs: inputs, extents: nil)
        }
        // Several convolutions share a weight's moments only where they look at patches in the same way.
        guard axis == 0, let first = users.first, let extents = extents(of: nodes[first], shape),
            users.allSatisfy({
                self.extents(of: nodes[$0], shape) == extents && nodes[$0].int("group") == nodes[first].int("group")
            })
        else { return nil }
        let groups = Int(exactly: nodes[first].int("group") ?? 1) ?? 0
        guard groups > 0, shape[0].isMultiple(of: groups) else { return nil }
        return QuantizableLayer(
            name: name, axis: axis, groups: groups, rows: shape[0] / groups,
            columns: shape.dimensions[1...].reduce(1, *), nodes: users, inputs: inputs, extents: extents)
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
        guard let extents else {
            guard let width = extentsOfValue.last, width == columns, tensor.elementCount > 0 else {
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
