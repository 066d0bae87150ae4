import ModelGraph
import Tensors

// Mixed precision: a budget and what each layer's bits cost decide how many each gets.

extension ModelQuantizer {
    /// Bits by layer, and what other budgets would cost; nothing where all have the scheme's.
    func bits(
        _ sensitivities: SensitivityTable?
    ) throws(CompressionError) -> (bits: [String: Int], front: [BitAllocation.Point]) {
        guard needsSensitivities else { return ([:], []) }
        guard let sensitivities else { throw .noData("the sensitivity of layers") }
        let macs = try multiplyAccumulates()
        var candidates: [BitAllocation.Layer] = []
        for layer in layers {
            guard let row = sensitivities.layers.firstIndex(of: layer.name) else {
                throw .noData("the sensitivity of '\(layer.name)'")
            }
            candidates.append(
                BitAllocation.Layer(
                    name: layer.name, weights: layer.weights, macs: macs[layer.name] ?? 0,
                    options: zip(sensitivities.bits, sensitivities.costs[row]).map {
                        BitAllocation.Option(bits: $0, cost: $1)
                    }))
        }
        let allocation = try BitAllocation(candidates, measure: settings.amount.measure)
        let choice: BitAllocation.Choice
        switch settings.amount {
        case .averageBits(let bits): choice = try allocation.choice(averageBits: bits)
        case .bytes(let bytes): choice = try allocation.choice(within: bytes)
        case .bitOperations(let operations):
            choice = try allocation.choice(within: Int(min(operations, 0x1p62)))
        case .milliseconds, .same: preconditionFailure("no budget to allocate bits by")
        }
        return (Dictionary(uniqueKeysWithValues: zip(layers.map(\.name), choice.bits)), allocation.front)
    }

    /// Of one sample by layer, where shapes are known. A layer that several nodes use counts for all of them.
    func multiplyAccumulates() throws(CompressionError) -> [String: Int] {
        let known: [String: Shape]? = try? deployed.sampleShapes()
        guard let known else {
            guard case .bitOperations = settings.amount else { return [:] }
            throw .valueOutOfRange(
                "the model's shapes are not known before it runs, so no operations can be counted: give a budget of bytes or bits"
            )
        }
        var result: [String: Int] = [:]
        for layer in layers {
            result[layer.name] = layer.nodes.reduce(0) { sum, index in
                let node = deployed.nodes[index]
                let outputs = node.outputs.first.flatMap { known[$0] }?.elementCount ?? 0
                return saturatingSum([sum, saturatingProduct([outputs, layer.columns])])
            }
        }
        return result
    }
}

extension QuantizationSettings.Amount {
    fileprivate var measure: BitAllocation.Measure {
        switch self {
        case .same, .averageBits, .milliseconds: .weightBits
        case .bytes: .bytes
        // Values are quantized to 8 bits everywhere.
        case .bitOperations: .bitOperations(activationBits: 8)
        }
    }
}
