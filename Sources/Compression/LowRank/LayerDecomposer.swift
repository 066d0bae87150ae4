import Engine
import Tensors

/// What can be made of one layer.
protocol LayerDecomposing {
    var layer: FactorizableLayer { get }

    /// What each rank loses.
    func spectrum(_ method: FactorizationMethod) throws -> LayerSpectrum
    /// The rank of what stands out of noise in the weight as it is; at least 1.
    func noiseRank(_ method: FactorizationMethod) throws -> FactorRank
    /// The factors in the order in which they are applied and in the file's layout, and the share of energy that is left, of
    /// the weight or, with a moment, of the layer's outputs.
    func factors(_ method: FactorizationMethod, _ rank: FactorRank) throws -> (tensors: [Tensor], kept: Double)
}

/// Decomposes one layer's weight, as it is or as its data see it. What whitens its inputs is found once, whatever number of
/// ranks and methods is tried. Owned by one thread.
final class LayerDecomposer: LayerDecomposing {
    let layer: FactorizableLayer
    private let weight: Tensor
    /// E[x xᵀ] of the channels or of columns of the kernel's height, or E[y yᵀ] of the outputs.
    private let moment: Matrix?
    private var knownCoordinates: [FactorizationMethod: LayerCoordinates] = [:]

    /// - Throws: `CompressionError.weightsNotFinite`, `.malformedMoments` for a moment of another size.
    init(_ layer: FactorizableLayer, weight: Tensor, moment: Tensor?) throws(CompressionError) {
        (self.layer, self.weight) = (layer, weight)
        guard weight.withElements(as: Float.self, { $0.allSatisfy(\.isFinite) }) else {
            throw .weightsNotFinite(tensor: layer.name)
        }
        guard let moment else {
            self.moment = nil
            return
        }
        let sizes =
            layer.isMatrix
            ? [layer.inputs] + (layer.readsOutputs ? [layer.outputs] : [])
            : [layer.inputs, layer.inputs * layer.convolution.kernel[0]]
        guard moment.elementType == .float32, let size = moment.shape.dimensions.first, sizes.contains(size),
            moment.shape.dimensions == [size, size]
        else {
            throw .malformedMoments(
                tensor: layer.name, reason: "it is \(moment.elementType) \(moment.shape), not of size \(sizes)")
        }
        self.moment = Matrix(rows: size, columns: size, values: moment.floats.map(Double.init))
    }

    private func coordinates(_ method: FactorizationMethod) throws -> LayerCoordinates {
        if let known = knownCoordinates[method] { return known }
        let found: LayerCoordinates
        do { found = try newCoordinates(method) } catch EngineError.notFinite {
            throw CompressionError.malformedMoments(tensor: layer.name, reason: "it is not finite")
        }
        knownCoordinates[method] = found
        return found
    }

    private func newCoordinates(_ method: FactorizationMethod) throws -> LayerCoordinates {
        guard let moment else { return .plain }
        switch method {
        case .svd:
            guard moment.rows == layer.inputs else {
                let directions = try OutputDirections(moment: moment, weight: layer.matrix(weight, .svd))
                return directions.map(LayerCoordinates.outputs) ?? .plain
            }
            return try Whitening(moment).map(LayerCoordinates.inputs) ?? .plain
        case .tucker:
            let channels = Whitening.channels(of: moment, rows: moment.rows / layer.inputs)
            return try Whitening(channels).map(LayerCoordinates.inputs) ?? .plain
        case .spatial:
            guard moment.rows == layer.inputs * layer.convolution.kernel[0] else {
                throw CompressionError.malformedMoments(
                    tensor: layer.name, reason: "spatial SVD needs one of channels x kernel rows")
            }
            return try Whitening(moment).map(LayerCoordinates.inputs) ?? .plain
        }
    }

    /// The weight's matrix in the coordinates of its inputs, where those count.
    private func matrix(_ method: FactorizationMethod, _ coordinates: LayerCoordinates) throws -> Matrix {
        let plain = layer.matrix(weight, method)
        guard case .inputs(let whitening) = coordinates else { return plain }
        guard method == .tucker else { return try plain.times(whitening.root) }
        let kernel = layer.kernelElements
        let unfolded = plain.swappingAxes(layer.outputs, layer.inputs, kernel)
        return try whitening.root.times(unfolded).swappingAxes(layer.inputs, layer.outputs, kernel)
    }

    func spectrum(_ method: FactorizationMethod) throws -> LayerSpectrum {
        let coordinates = try coordinates(method)
        if case .outputs(let directions) = coordinates {
            return LayerSpectrum(layer: layer, method: method, energies: [directions.energies])
        }
        let matrix = try matrix(method, coordinates)
        var unfoldings = [matrix]
        if method == .tucker {
            unfoldings.insert(matrix.swappingAxes(layer.outputs, layer.inputs, layer.kernelElements), at: 0)
        }
        return LayerSpectrum(
            layer: layer, method: method,
            energies: try unfoldings.map { try $0.singularValueDecomposition().values.map { $0 * $0 } })
    }

    func noiseRank(_ method: FactorizationMethod) throws -> FactorRank {
        let matrix = layer.matrix(weight, method)
        func rank(_ matrix: Matrix) throws -> Int {
            let values = try matrix.singularValueDecomposition().values
            return max(1, NoiseRank(singularValues: values, rows: matrix.rows, columns: matrix.columns).rank)
        }
        guard method == .tucker else { return .single(try rank(matrix)) }
        let unfolded = matrix.swappingAxes(layer.outputs, layer.inputs, layer.kernelElements)
        return layer.consistent(.pair(input: try rank(unfolded), output: try rank(matrix)))
    }

    func factors(_ method: FactorizationMethod, _ rank: FactorRank) throws -> (tensors: [Tensor], kept: Double) {
        let coordinates = try coordinates(method)
        let matrix = try matrix(method, coordinates)
        switch (rank, coordinates) {
        case (.single(let rank), .outputs(let directions)):
            let (before, after) = try directions.factors(of: matrix, rank: rank)
            return (layer.tensors(before: before, after: after, method), Self.share(of: directions.energies, rank))
        case (.single(let rank), _):
            let parts = try matrix.singularValueDecomposition()
            // Each factor takes half of the scale, so that training moves both alike.
            let roots = parts.values.prefix(rank).map { $0.squareRoot() }
            let after = parts.left.prefix(columns: rank).scalingColumns(by: roots)
            let before = parts.right.prefix(columns: rank).scalingColumns(by: roots).transposed
            return (
                layer.tensors(before: try unwhitened(before, coordinates), after: after, method),
                Self.share(of: parts.values.map { $0 * $0 }, rank)
            )
        case (.pair(let input, let output), _):
            let parts = try TuckerDecomposition(matrix, kernel: layer.kernelElements, rank: (input, output))
            let before = try unwhitened(parts.input.transposed, coordinates)
            let (read, made) = (parts.input.columns, parts.output.columns)
            let tensors = [
                FactorizableLayer.tensor(before, [read, layer.inputs, 1, 1]),
                FactorizableLayer.tensor(parts.core, [made, read] + layer.convolution.kernel),
                FactorizableLayer.tensor(parts.output, [layer.outputs, made, 1, 1]),
            ]
            return (tensors, parts.kept)
        }
    }

    private func unwhitened(_ before: Matrix, _ coordinates: LayerCoordinates) throws -> Matrix {
        guard case .inputs(let whitening) = coordinates else { return before }
        return try before.times(whitening.inverse)
    }

    private static func share(of energies: [Double], _ rank: Int) -> Double {
        let total = energies.reduce(0, +)
        return total > 0 ? energies.prefix(rank).reduce(0, +) / total : 1
    }
}
