import Engine

/// AdaRound (Nagel et al. 2020) on second moments instead of samples: tr(D H Dᵀ) is the mean squared error of the outputs, so
/// nothing of the data is needed beside H.
///
/// Deviations: H is that of the original network, not of one whose earlier layers are quantized; Adam's steps grow as iterations
/// become fewer; and single weights are moved afterwards while that makes the loss smaller.
struct AdaptiveCodes {
    /// Products of one layer over all iterations, above which iterations are saved: a ResNet-18 takes about a minute.
    private static let mostProducts = 4e11
    private static let leastIterations = 200
    /// The same of all layers together, some minutes, and what is never saved.
    private static let mostProductsOfAll = 3e13
    private static let fewestIterations = 20
    private static let sweeps = 8

    private let problem: RoundingProblem
    private let nearest: [Int8]
    private let effort: Int

    init(_ problem: RoundingProblem, nearest: [Int8], effort: Int) {
        (self.problem, self.nearest, self.effort) = (problem, nearest, effort)
    }

    private static func products(_ layer: QuantizableLayer) -> Double { Double(layer.weights) * Double(layer.columns) }

    /// Of a layer that as many iterations are meant for as `effort`.
    static func iterations(_ layer: QuantizableLayer, effort: Int) -> Int {
        let fitting = Int(min(Double(effort), mostProducts / max(1, products(layer))))
        return max(fitting, min(effort, leastIterations))
    }

    /// The most effort with which all layers together end in time.
    static func effort(for layers: [QuantizableLayer]) -> Int {
        var (least, most) = (fewestIterations, Rounding.mostEffort)
        while least < most {
            let middle = (least + most + 1) / 2
            let products = layers.reduce(0) { $0 + Self.products($1) * Double(iterations($1, effort: middle)) }
            if products <= mostProductsOfAll { least = middle } else { most = middle - 1 }
        }
        return least
    }

    func codes() throws(EngineError) -> [Int8] {
        let neighbours = problem.weights.indices.map { place in
            problem.grid.neighbours(problem.weights[place], element: problem.element(place))
        }
        var below = [Double](repeating: 0, count: neighbours.count)
        var span = below
        for (place, codes) in neighbours.enumerated() {
            let element = problem.element(place)
            let low = Double(problem.grid.value(codes.below, ofElement: element))
            below[place] = low - problem.weights[place]
            span[place] = Double(problem.grid.value(codes.above, ofElement: element)) - low
        }
        guard let places = try learned(below: below, span: span) else { return nearest }
        var codes = nearest
        for place in codes.indices where span[place] > 0 {
            codes[place] = places[place] >= 0.5 ? neighbours[place].above : neighbours[place].below
        }
        for group in 0..<problem.layer.groups { try settle(&codes, neighbours, span, group: group) }
        return codes
    }

    /// In units in which the mean diagonal of H and the mean square of the spans are 1, so that λ means the same for every layer;
    /// nil where nothing can be learned.
    private func learned(below: [Double], span: [Double]) throws(EngineError) -> [Float]? {
        let layer = problem.layer
        var diagonal = 0.0
        for matrix in problem.moments { for column in 0..<layer.columns { diagonal += matrix[column, column] } }
        diagonal /= Double(layer.groups * layer.columns)
        let movable = span.count { $0 > 0 }
        let unit = (span.reduce(0) { $0 + $1 * $1 } / Double(max(1, movable))).squareRoot()
        guard movable > 0, unit.isNormal, diagonal.isNormal else { return nil }
        var rounding = AdaptiveRounding()
        rounding.iterations = Self.iterations(layer, effort: effort)
        rounding.learningRate = 10 / Double(max(1, rounding.iterations))
        return try rounding.places(
            groups: layer.groups, rows: layer.rows, columns: layer.columns,
            moments: problem.moments.flatMap { $0.values.map { Float($0 / diagonal) } },
            below: below.map { Float($0 / unit) }, span: span.map { Float($0 / unit) })
    }

    /// Moves single weights to their other neighbour while that makes the loss smaller: what a last step of descent finds.
    private func settle(
        _ codes: inout [Int8], _ neighbours: [(below: Int8, above: Int8)], _ span: [Double], group: Int
    ) throws(EngineError) {
        let (rows, columns) = (problem.layer.rows, problem.layer.columns)
        var gradient = try problem.product(problem.differences(codes), group: group).values
        let moments = problem.moments[group].values
        let first = group * problem.groupSize
        for row in 0..<rows {
            for _ in 0..<Self.sweeps {
                var moved = false
                for column in 0..<columns {
                    let place = first + row * columns + column
                    guard span[place] > 0 else { continue }
                    let isAbove = codes[place] == neighbours[place].above
                    let step = isAbove ? -span[place] : span[place]
                    let own = moments[column * columns + column]
                    // (D + s e) H (D + s e)ᵀ − D H Dᵀ.
                    let gain = 2 * step * gradient[row * columns + column] + step * step * own
                    guard gain < -1e-9 * step * step * own else { continue }
                    codes[place] = isAbove ? neighbours[place].below : neighbours[place].above
                    moved = true
                    for other in 0..<columns {
                        gradient[row * columns + other] += step * moments[column * columns + other]
                    }
                }
                if !moved { break }
            }
        }
    }
}
