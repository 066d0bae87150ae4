import Engine
import Tensors

// What a factorization will come to, before the weights and the data are there that decide it.

extension Factorizer {
    /// Multiply-accumulates up to which weights are decomposed for a rehearsal: seconds.
    private static let rehearsedWork = 1 << 33

    /// The model as a factorization would leave it if it happened now, without data. Of layers that take long to decompose
    /// only the sizes count.
    /// Where the weights as they are now would save nothing at the ranks that energy or noise choose, which training changes, about half
    /// of each layer is left.
    /// - Returns: nil where that cannot be either.
    /// - Throws: as `factorize(moments:)`, for what no weights will mend: no layer that any rank makes smaller, a budget below
    ///   what the layers can shrink to.
    public func rehearse() throws -> FactorizedModel? {
        func canSave(_ layer: FactorizableLayer) -> Bool {
            settings.selection.choice.methods(for: layer).contains { layer.saves($0, layer.smallestRank($0)) }
        }
        if settings.needsAll, let layer = layers.first(where: { !canSave($0) }) {
            throw CompressionError.notFactorizable(layer: layer.name, reason: Self.savesNothing)
        }
        guard layers.contains(where: canSave) else {
            throw CompressionError.nothingToFactorize(
                "no rank of its \(layers.count) layers saves both parameters and multiply-accumulates")
        }
        do {
            guard work <= Self.rehearsedWork else {
                return try factorize(layers.map(AssumedDecomposer.init))
            }
            return try factorize()
        } catch let error as CompressionError {
            switch (settings.rule, error) {
            case (.energy, .nothingToFactorize), (.evbmf, .nothingToFactorize), (.energy, .notFactorizable),
                (.evbmf, .notFactorizable):
                var assumed = self
                assumed.settings.rule = .budget(RankBudget(.parameters, share: 0.5, scope: .layers))
                return try? assumed.factorize(layers.map(AssumedDecomposer.init))
            default: throw error
            }
        }
    }

    /// Of the decompositions, each about a product of its matrix and its smaller extent.
    private var work: Int {
        saturatingSum(
            layers.flatMap { layer in
                settings.selection.choice.methods(for: layer).map { method in
                    switch layer.largestRank(method) {
                    case .single(let rank): saturatingProduct([layer.parameters, rank])
                    case .pair(let input, let output): saturatingProduct([layer.parameters, input + output, 5])
                    }
                }
            })
    }
}

/// In the place of a decomposition that takes too long for what is asked of it: energies that fall evenly, and factors of
/// ones.
struct AssumedDecomposer: LayerDecomposing {
    let layer: FactorizableLayer

    init(_ layer: FactorizableLayer) { self.layer = layer }

    func spectrum(_ method: FactorizationMethod) -> LayerSpectrum {
        func falling(_ count: Int) -> [Double] { (1...count).reversed().map(Double.init) }
        let energies =
            switch layer.largestRank(method) {
            case .single(let rank): [falling(rank)]
            case .pair(let input, let output): [falling(input), falling(output)]
            }
        return LayerSpectrum(layer: layer, method: method, energies: energies)
    }

    func noiseRank(_ method: FactorizationMethod) -> FactorRank {
        switch layer.largestRank(method) {
        case .single(let rank): .single(max(1, rank / 4))
        case .pair(let input, let output):
            layer.consistent(.pair(input: max(1, input / 4), output: max(1, output / 4)))
        }
    }

    func factors(_ method: FactorizationMethod, _ rank: FactorRank) -> (tensors: [Tensor], kept: Double) {
        func ones(_ rows: Int, _ columns: Int) -> Matrix {
            Matrix(rows: rows, columns: columns, values: Array(repeating: 1, count: rows * columns))
        }
        switch rank {
        case .single(let rank):
            let (height, width) =
                method == .spatial ? (layer.convolution.kernel[0], layer.convolution.kernel[1]) : (1, 1)
            return (
                layer.tensors(
                    before: ones(rank, layer.inputs * height), after: ones(layer.outputs * width, rank), method),
                1
            )
        case .pair(let input, let output):
            let tensors = [
                FactorizableLayer.tensor(ones(input, layer.inputs), [input, layer.inputs, 1, 1]),
                FactorizableLayer.tensor(
                    ones(output, input * layer.kernelElements), [output, input] + layer.convolution.kernel),
                FactorizableLayer.tensor(ones(layer.outputs, output), [layer.outputs, output, 1, 1]),
            ]
            return (tensors, 1)
        }
    }
}

extension FactorizableLayer {
    func smallestRank(_ method: FactorizationMethod) -> FactorRank {
        method == .tucker ? .pair(input: 1, output: 1) : .single(1)
    }
}
