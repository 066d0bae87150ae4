import Engine
import ModelGraph
import Tensors

/// A layer's weights as matrices, what they may become, and what that costs: Σ over groups of tr(D H Dᵀ), D being the difference
/// from the weights and H = E[x xᵀ]: the mean square of the outputs' error, summed over the outputs. Where the bias takes back the
/// error's mean, H = E[x xᵀ] − E[x] E[x]ᵀ, which leaves its variance.
struct RoundingProblem {
    let layer: QuantizableLayer
    let grid: WeightGrid
    /// [groups, rows, columns], as the codes below.
    let weights: [Double]
    /// By group.
    let moments: [Matrix]

    /// Precondition: weight, grid and moments are the layer's.
    init(
        _ weight: Tensor, _ quantized: QuantizedWeight, layer: QuantizableLayer, moments: InputMoments,
        biasTakesMean: Bool
    ) {
        precondition(
            weight.elementCount == layer.weights && quantized.values.shape == weight.shape
                && moments.columns == layer.columns && moments.groups == layer.groups,
            "'\(layer.name)' is rounded with what belongs to another layer")
        self.layer = layer
        grid = WeightGrid(quantized)
        weights = layer.matrix(weight.floats).map(Double.init)
        self.moments = (0..<layer.groups).map { moments.matrix(group: $0, isCentred: biasTakesMean) }
    }

    /// Weights of a group.
    var groupSize: Int { layer.rows * layer.columns }

    /// The element of the weight that stands at a place of the matrices.
    @inline(__always)
    func element(_ place: Int) -> Int {
        layer.axis == 0 ? place : place % layer.columns * layer.rows + place / layer.columns
    }

    /// What codes make of the weights, less the weights.
    func differences(_ codes: [Int8]) -> [Double] {
        codes.indices.map { Double(grid.value(codes[$0], ofElement: element($0))) - weights[$0] }
    }

    /// D H of one group.
    func product(_ differences: [Double], group: Int) throws(EngineError) -> Matrix {
        let part = Array(differences[group * groupSize..<(group + 1) * groupSize])
        return try Matrix(rows: layer.rows, columns: layer.columns, values: part).times(moments[group])
    }

    /// Σ tr(D H Dᵀ).
    func loss(_ codes: [Int8]) throws(EngineError) -> Double { try form(differences(codes)) }

    /// Σ tr(W H Wᵀ): what the loss is compared with.
    func energy() throws(EngineError) -> Double { try form(weights) }

    private func form(_ values: [Double]) throws(EngineError) -> Double {
        var sum = 0.0
        for group in 0..<layer.groups {
            let product = try product(values, group: group)
            for (place, value) in product.values.enumerated() { sum += value * values[group * groupSize + place] }
        }
        // Rounding may leave a little less than nothing.
        return max(0, sum)
    }

    /// Codes in the weight's own order.
    func inOrder(_ codes: [Int8]) -> [Int8] {
        guard layer.axis == 1 else { return codes }
        var result = codes
        for place in codes.indices { result[element(place)] = codes[place] }
        return result
    }
}
