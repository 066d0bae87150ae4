/// What second moments of a graph's layers hold: which layers are measured follows from the graph and the choice alone, so
/// coordinator and workers agree on it. Of the layer's inputs x the moment is E[x xᵀ], or E[y yᵀ] of what the weight makes of
/// them where that is smaller and says as much (`OutputDirections`).
public struct MomentLayout: Sendable, Equatable {
    /// The largest moment's extent: 128 MiB of doubles.
    public static let largestSize = 4096
    /// The most numbers of all moments together, each counted once though it stands on both sides of the diagonal: 64 MiB as
    /// they travel. The smallest moments come first.
    public static let mostNumbers = 1 << 24

    /// The measured layers, in node order.
    public let layers: [FactorizableLayer]
    /// Layers whose moments are too large, by weight.
    public let leftOut: [String]
    let choice: FactorizationChoice

    /// - Parameter choice: with `tucker` alone, channels are enough; else convolutions need columns of their kernel's height.
    public init(_ layers: [FactorizableLayer], choice: FactorizationChoice) {
        var left = Self.mostNumbers
        var taken = Set<String>()
        for (_, layer) in layers.enumerated().sorted(by: {
            ($0.element.momentSize(choice), $0.offset) < ($1.element.momentSize(choice), $1.offset)
        }) {
            let size = layer.momentSize(choice)
            guard size <= Self.largestSize, Self.numbers(size) <= left else { break }
            left -= Self.numbers(size)
            taken.insert(layer.name)
        }
        self.layers = layers.filter { taken.contains($0.name) }
        leftOut = layers.map(\.name).filter { !taken.contains($0) }
        self.choice = choice
    }

    /// The extent of a layer's moment.
    func size(_ layer: FactorizableLayer) -> Int { layer.momentSize(choice) }

    /// What is different in a symmetric matrix.
    static func numbers(_ size: Int) -> Int { size * (size + 1) / 2 }
}

extension FactorizableLayer {
    /// Places of a column in the layer's moment.
    func momentRows(_ choice: FactorizationChoice) -> Int {
        isMatrix || choice == .tucker ? 1 : convolution.kernel[0]
    }

    fileprivate func momentSize(_ choice: FactorizationChoice) -> Int {
        readsOutputs ? outputs : inputs * momentRows(choice)
    }
}
