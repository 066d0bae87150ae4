import ModelGraph
import Tensors

// Mixed precision: a budget and what each layer's bits cost decide how many each gets, or which layers become integers at all.

extension ModelQuantizer {
    /// Bits by layer, those left out staying float32, and what other budgets would cost; no front where all have the scheme's.
    func bits(
        _ evidence: QuantizationEvidence
    ) throws(CompressionError) -> (bits: [String: Int], front: [BitAllocation.Point]) {
        guard needsSensitivities else {
            let all = layers.map { ($0.name, settings.weights.bits) }
            return (Dictionary(uniqueKeysWithValues: all), [])
        }
        guard let sensitivities = evidence.sensitivities else { throw .noData("the sensitivity of layers") }
        let allocation: BitAllocation
        let choice: BitAllocation.Choice
        switch settings.amount {
        case .averageBits(let bits):
            allocation = try self.allocation(.weightBits, sensitivities) { layer, bits in
                saturatingProduct([layer.weights, bits])
            }
            choice = try allocation.choice(averageBits: bits)
        case .bytes(let bytes):
            allocation = try self.allocation(.bytes, sensitivities) { layer, bits in storedBytes(layer, bits: bits) }
            choice = try allocation.choice(within: bytes)
        case .bitOperations(let operations):
            let macs = try multiplyAccumulates()
            allocation = try self.allocation(.bitOperations, sensitivities) { layer, bits in
                // Values are quantized to 8 bits everywhere.
                saturatingProduct([macs[layer.name] ?? 0, bits, 8])
            }
            choice = try allocation.choice(within: Int(min(operations, 0x1p62)))
        case .milliseconds(let milliseconds):
            guard let times = evidence.times else {
                throw .valueOutOfRange("a budget of milliseconds needs the time that layers take: measure it first")
            }
            allocation = try self.allocation(times, sensitivities)
            choice = try allocation.choice(within: Int(min(milliseconds * 1e6, 0x1p62)))
        case .same: preconditionFailure("no budget to allocate bits by")
        }
        var bits: [String: Int] = [:]
        for (layer, found) in zip(layers, choice.bits) { bits[layer.name] = found }
        return (bits, allocation.front)
    }

    /// Of all candidates.
    private func allocation(
        _ measure: BitAllocation.Measure, _ sensitivities: SensitivityTable,
        size: (QuantizableLayer, Int) -> Int
    ) throws(CompressionError) -> BitAllocation {
        var options: [BitAllocation.Layer] = []
        for layer in layers {
            var own: [BitAllocation.Option] = []
            for bits in candidates {
                let cost = try cost(of: layer, bits: bits, sensitivities)
                own.append(BitAllocation.Option(bits: bits, size: size(layer, bits), cost: cost))
            }
            options.append(BitAllocation.Layer(name: layer.name, weights: layer.weights, options: own))
        }
        return try BitAllocation(options, measure: measure)
    }

    /// Integers or float32. Savings are taken to add up: what the choice really takes is measured when it has been made. Times are
    /// counted in nanoseconds, each rounded to the side of caution.
    private func allocation(
        _ times: LayerTimes, _ sensitivities: SensitivityTable
    ) throws(CompressionError) -> BitAllocation {
        precondition(times.saved.count == layers.count, "times of \(times.saved.count) layers, not \(layers.count)")
        let limit = 1e9
        guard ([times.float] + times.saved).allSatisfy({ abs($0) <= limit }) else {
            throw .valueOutOfRange("the times of layers are not finite, or days: measure them again")
        }
        var least = Int((times.float * 1e6).rounded(.up))
        var options: [BitAllocation.Layer] = []
        for (layer, saved) in zip(layers, times.saved) {
            let nanoseconds = Int((saved * 1e6).rounded(.down))
            least -= max(0, nanoseconds)
            let cost = try cost(of: layer, bits: settings.weights.bits, sensitivities)
            options.append(
                BitAllocation.Layer(
                    name: layer.name, weights: layer.weights,
                    options: [
                        BitAllocation.Option(bits: nil, size: max(0, nanoseconds), cost: 0),
                        BitAllocation.Option(bits: settings.weights.bits, size: max(0, -nanoseconds), cost: cost),
                    ]))
        }
        return try BitAllocation(options, measure: .nanoseconds, base: least)
    }

    private func cost(
        of layer: QuantizableLayer, bits: Int, _ sensitivities: SensitivityTable
    ) throws(CompressionError) -> Double {
        guard let cost = sensitivities.cost(of: layer.name, bits: bits) else {
            throw .noData("the sensitivity of '\(layer.name)' at \(bits) bits")
        }
        return cost
    }

    /// Bytes of the file that are a layer's weight, at so many bits.
    func storedBytes(_ layer: QuantizableLayer, bits: Int) -> Int {
        guard let shape = deployed.initializers[layer.name]?.shape else { return 0 }
        let scheme = settings.weights.fitting(layer)
        var blocks: QuantizedWeight.Blocks?
        if case .block(let size) = scheme.granularity {
            blocks = WeightQuantizer.blocks(of: size, channelAxis: layer.axis)
        }
        return WeightStorage(target: settings.target, packs: settings.packs).bytes(
            shape: shape, axis: layer.axis, bits: bits, blocks: blocks, hasZeroPoints: !scheme.isSymmetric,
            hasCodebook: scheme.levels != .uniform)
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
