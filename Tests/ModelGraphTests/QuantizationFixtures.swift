import ModelGraph
import Tensors

/// Rounds a weight to nearest, symmetric, with scales of channels or of blocks along the other axis of a matrix.
func rounded(_ tensor: Tensor, axis: Int, bits: Int = 8, block: Int? = nil) -> QuantizedWeight {
    let extents = tensor.shape.dimensions
    let inner = extents[(axis + 1)...].reduce(1, *)
    let blocks = block.map { (extents[1 - axis] + $0 - 1) / $0 } ?? 1
    func place(_ index: Int) -> Int {
        let channel = index / inner % extents[axis]
        guard let block else { return channel }
        // A matrix: the other axis is the row or the column.
        let run = (axis == 0 ? index % extents[1] : index / extents[1]) / block
        return axis == 0 ? channel * blocks + run : run * extents[1] + channel
    }
    let largest = Float(1 << (bits - 1) - 1)
    let values = tensor.floats
    var scales = [Float](repeating: 1e-6, count: extents[axis] * blocks)
    for index in values.indices { scales[place(index)] = max(scales[place(index)], abs(values[index]) / largest) }
    let codes = values.indices.map { index in
        Int8(max(-largest, min(largest, (values[index] / scales[place(index)]).rounded())))
    }
    return QuantizedWeight(
        values: Tensor(elements: codes, elementType: .int8, shape: tensor.shape), scales: scales, axis: axis,
        bits: bits,
        blocks: block.map { QuantizedWeight.Blocks(axis: 1 - axis, size: $0) })
}

extension Graph {
    /// The graph for a target with made-up ranges and weights rounded to nearest.
    func sample(
        for target: DeploymentTarget, bits: Int = 8, block: Int? = nil, opset: Int64? = nil, packs: Bool = true,
        scale: Float = 0.05, storage: ActivationQuantization.Storage? = nil
    ) throws -> Graph {
        let activation = ActivationQuantization(
            scale: scale, zeroPoint: 0, storage: storage ?? target.activationStorage)
        let points = quantizationPoints(for: target).map { ($0, activation) }
        var weights: [String: QuantizedWeight] = [:]
        for (name, axis) in quantizableWeights(for: target) {
            let tensor = try initializers.require(name)
            weights[name] = rounded(tensor, axis: axis, bits: bits, block: tensor.shape.rank == 2 ? block : nil)
        }
        return try quantized(
            for: target, activations: Dictionary(uniqueKeysWithValues: points), weights: weights,
            opset: opset ?? max(17, target.leastOpset), packsWeights: packs)
    }

    func producer(of value: String) -> Node? { nodes.first { $0.outputs.contains(value) } }
}

/// float32 numbers that look like weights, from a seed.
func noise(_ shape: Shape, seed: UInt64 = 1) -> Tensor {
    var generator = SeededGenerator(seed: seed)
    return Tensor((0..<shape.elementCount).map { _ in Float(generator.next() >> 40) / 8_388_608 - 1 }, shape: shape)
}
