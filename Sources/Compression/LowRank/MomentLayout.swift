/// What second moments of a graph's layers hold: which layers are measured follows from the graph and the choice alone, so
/// coordinator and workers agree on it. Of the layer's inputs x the moment is E[x xᵀ], or E[y yᵀ] of what the weight makes of
/// them where that is smaller and says as much (`OutputDirections`).
public struct MomentLayout: Sendable, Equatable {
    /// The largest moment's extent: 128 MiB of doubles.
    public static let largestSize = 4096
    /// The most numbers of all moments together, each counted once though it stands on both sides of the diagonal: 64 MiB as
    /// they travel. The smallest moments come first.
    public static let mostNumbers = 1 << 24

    /// A symmetric matrix that travels.
    struct Entry: Sendable, Equatable {
        var name: String
        var size: Int
    }

    /// The measured layers that are to be factorized, in node order; none where others say what is measured.
    public let layers: [FactorizableLayer]
    /// Layers whose moments are too large, by weight.
    public let leftOut: [String]
    let choice: FactorizationChoice
    /// One for each layer, in order, unless others say so.
    let entries: [Entry]

    /// - Parameter choice: with `tucker` alone, channels are enough; else convolutions need columns of their kernel's height.
    public init(_ layers: [FactorizableLayer], choice: FactorizationChoice) {
        let taken = Self.fitting(layers.map { (size: $0.momentSize(choice), count: 1) })
        self.layers = zip(layers, taken).filter(\.1).map(\.0)
        leftOut = zip(layers, taken).filter { !$0.1 }.map(\.0.name)
        self.choice = choice
        entries = self.layers.map { Entry(name: $0.name, size: $0.momentSize(choice)) }
    }

    /// Of matrices that are not factorization's. Precondition: they are within the limits.
    init(entries: [Entry], leftOut: [String]) {
        precondition(
            entries.allSatisfy { (1...Self.largestSize).contains($0.size) }
                && entries.reduce(0) { $0 + Self.numbers($1.size) } <= Self.mostNumbers, "moments beyond the limits")
        (layers, choice, self.entries, self.leftOut) = ([], .auto, entries, leftOut)
    }

    /// Which of several sets of equal matrices are within the limits, the smallest first.
    static func fitting(_ wanted: [(size: Int, count: Int)]) -> [Bool] {
        var left = mostNumbers
        var taken = [Bool](repeating: false, count: wanted.count)
        let numbers = wanted.map {
            $0.size <= largestSize ? saturatingProduct([Self.numbers($0.size), $0.count]) : .max
        }
        let order = wanted.indices.sorted { (numbers[$0], wanted[$0].size, $0) < (numbers[$1], wanted[$1].size, $1) }
        for index in order {
            guard numbers[index] <= left else { break }
            left -= numbers[index]
            taken[index] = true
        }
        return taken
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
