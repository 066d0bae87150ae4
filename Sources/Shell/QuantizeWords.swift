import Compression
import Federation
import ModelGraph

// A plan's words for quantization as the numerics know them.

extension DeploymentTarget {
    package init(_ target: ExportTarget) {
        self =
            switch target {
            case .float32: .float32
            case .x86: .x86
            case .x86NoVNNI: .x86NoVNNI
            case .arm: .arm
            case .tensorrt: .tensorrt
            case .int4: .int4
            case .int8Weights: .int8Weights
            case .dynamic: .dynamic
            case .float16: .float16
            case .bfloat16: .bfloat16
            }
    }
}

extension WeightScheme {
    /// What rules leave open is what suits the target and the number of bits.
    /// - Parameter hasBudget: whether a budget decides the bits.
    package init(_ rules: WeightRules, target: DeploymentTarget, hasBudget: Bool) {
        self.init(for: target)
        bits = rules.bits ?? bits
        isSymmetric = rules.isSymmetric
        hasPowerOfTwoScales = rules.hasPowerOfTwoScales
        levels = Levels(rules.levels)
        // A codebook of eight bits is no smaller than steps of one width, which lose no more.
        if levels != .uniform, rules.bits == nil { bits = min(bits, 4) }
        if let sharing = rules.sharing { granularity = Granularity(sharing) }
        switch rules.range {
        // A budget gives some layers few bits.
        case nil: range = bits < 8 || hasBudget ? .leastSquares : .minMax
        case .minMax: range = .minMax
        case .leastSquares: range = .leastSquares
        }
    }
}

extension WeightScheme.Levels {
    package init(_ kind: LevelsKind) {
        self =
            switch kind {
            case .uniform: .uniform
            case .kmeans: .kMeans
            case .powersOfTwo: .powersOfTwo
            case .quantiles: .normalQuantiles
            }
    }
}

extension WeightScheme.Granularity {
    package init(_ sharing: ScaleSharing) {
        self =
            switch sharing {
            case .tensor: .tensor
            case .channel: .channel
            case .block(let size): .block(size)
            }
    }
}

extension RoundingMethod {
    package init(_ kind: RoundingKind) {
        self =
            switch kind {
            case .nearest: .nearest
            case .adaround: .adaptive
            case .gptq: .errorFeedback
            }
    }
}

extension QuantizationSettings.Amount {
    package init(_ amount: BitAmount) {
        self =
            switch amount {
            case .same: .same
            case .averageBits(let bits): .averageBits(bits)
            case .bytes(let count): .bytes(count)
            case .bitOperations(let count): .bitOperations(count)
            case .milliseconds(let time): .milliseconds(time)
            }
    }
}

extension QuantizationSettings {
    /// - Throws: `CompressionError.unknownMethod`.
    package init(_ rules: QuantizeRules) throws(CompressionError) {
        let target = DeploymentTarget(rules.scope.target)
        let hasBudget = rules.amount != .same
        self.init(
            target: target, weights: WeightScheme(rules.weights, target: target, hasBudget: hasBudget),
            rounding: RoundingMethod(rules.rounding), amount: Amount(rules.amount), candidates: rules.heldCandidates,
            excluded: rules.scope.excluded, equalizes: rules.scope.equalizes, correctsBiases: rules.correctsBiases,
            calibration: try CalibrationMethod.named(rules.method.rawValue, percentile: rules.percentile),
            hasPowerOfTwoActivations: rules.weights.hasPowerOfTwoScales, opset: Int64(rules.opset),
            packs: rules.packs)
    }

    /// Of what workers measure, whatever the bits will be.
    package init(_ scope: QuantizationScope) {
        self.init(
            target: DeploymentTarget(scope.target), excluded: scope.excluded, equalizes: scope.equalizes)
    }

    /// Of a file without integers.
    package init(float target: ExportTarget, opset: Int) {
        self.init(target: DeploymentTarget(target), opset: Int64(opset))
    }

    /// Without exclusions of what stages have taken out of the model since its names were checked.
    package func fitting(_ graph: Graph) -> QuantizationSettings {
        var settings = self
        let nodes = Set(graph.nodes.map(\.name))
        settings.excluded = excluded.filter { graph.initializers[$0] != nil || nodes.contains($0) }
        return settings
    }
}

extension QuantizeRules {
    /// The candidates that the target's files and the levels can hold; all of them where none can, which is then refused.
    package var heldCandidates: [Int] {
        let held = candidates.filter { $0 <= mostBits }
        return held.isEmpty ? candidates : held
    }
}

extension ModelQuantizer {
    /// What workers and coordinator measure of a graph, as it is trained: the same values, weights and moments on both sides.
    /// - Throws: as `ModelQuantizer.init(_:settings:)`.
    package init(_ graph: Graph, _ scope: QuantizationScope) throws {
        try self.init(graph, settings: QuantizationSettings(scope).fitting(graph))
    }
}
