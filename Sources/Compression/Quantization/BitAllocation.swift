import Tensors

/// Bits for each layer: the least Σ cost within a budget (METHODS "Quantization", mixed precision per layer). A multiple-choice
/// knapsack (Sinha and Zoltners 1979), solved exactly by a dynamic program over layers that keeps only choices which no other
/// choice beats in both size and cost; what is left at the end is the whole Pareto front.
///
/// Where more than `stateLimit` choices are left, what layers take beyond their smallest is rounded up to a grid: answers are
/// still within the budget, but may cost more than the best, and `isExact` says so.
public struct BitAllocation: Sendable, Equatable {
    /// What is limited: the unit of sizes.
    public enum Measure: Sendable, Equatable {
        /// Of the weights as a file holds them.
        case bytes
        /// Bits of the codes of all weights.
        case weightBits
        /// Multiply-accumulates x bits of weights x bits of activations (BOPs; Baskin et al. 2021, "UNIQ", section 4).
        case bitOperations
        case nanoseconds
    }

    public struct Layer: Sendable, Equatable {
        public let name: String
        public let weights: Int
        public let options: [Option]

        public init(name: String, weights: Int, options: [Option]) {
            (self.name, self.weights, self.options) = (name, weights, options)
        }
    }

    /// What a layer can become.
    public struct Option: Sendable, Equatable {
        /// nil where it stays float32.
        public let bits: Int?
        /// In the measure's unit.
        public let size: Int
        /// Any measure that adds up, such as a loss's increase.
        public let cost: Double

        public init(bits: Int?, size: Int, cost: Double) { (self.bits, self.size, self.cost) = (bits, size, cost) }
    }

    public struct Point: Sendable, Equatable {
        /// In the measure's unit.
        public let size: Int
        public let cost: Double
    }

    public struct Choice: Sendable, Equatable {
        /// In the layers' order; nil where a layer stays float32.
        public let bits: [Int?]
        /// In the measure's unit.
        public let size: Int
        public let cost: Double
        /// Bits of a weight, on average, 32 where it stays float32; 0 where there are no weights.
        public let averageBits: Double
    }

    public static let stateLimit = 1 << 17

    public let layers: [Layer]
    public let measure: Measure
    /// The best cost of every size, sizes rising and costs falling.
    public let front: [Point]
    /// Whether no grid was needed.
    public let isExact: Bool
    private let program: AllocationProgram

    /// - Parameters:
    ///   - base: what is taken whatever is chosen; sizes of points and choices hold it.
    ///   - stateLimit: choices that are kept, at least 2.
    /// - Throws: `CompressionError.valueOutOfRange` for a layer without options, bits that are not 1 to 32, sizes that are negative
    ///   or cannot be counted, and costs that are not finite.
    public init(
        _ layers: [Layer], measure: Measure, base: Int = 0, stateLimit: Int = BitAllocation.stateLimit
    ) throws(CompressionError) {
        precondition(stateLimit >= 2, "\(stateLimit) choices cannot be chosen from")
        var total = base.magnitude > .max / 8 ? Int.max : Int(base.magnitude)
        for layer in layers {
            try Self.check(layer)
            // A whole eighth below the limit, so that whoever divides what stopped there is caught too.
            let largest = layer.options.reduce(0) { max($0, $1.size) }
            total = saturatingSum([total, largest >= .max / 8 ? .max : largest])
        }
        guard total < .max else {
            throw .valueOutOfRange("the layers' sizes cannot be counted: they have too many weights")
        }
        let program = AllocationProgram(
            sizes: layers.map { $0.options.map(\.size) }, costs: layers.map { $0.options.map(\.cost) },
            stateLimit: stateLimit)
        (self.layers, self.measure, self.program) = (layers, measure, program)
        front = program.front.map { Point(size: base + $0.size, cost: $0.cost) }
        isExact = program.isExact
    }

    private static func check(_ layer: Layer) throws(CompressionError) {
        func refused(_ reason: String) -> CompressionError { .valueOutOfRange("layer '\(layer.name)' \(reason)") }
        guard (1...64).contains(layer.options.count) else { throw refused("needs 1 to 64 bit widths to choose from") }
        guard layer.weights >= 0 else { throw refused("has a negative size") }
        for option in layer.options {
            let bits = option.bits.map { "\($0) bits" } ?? "float32"
            guard option.bits.map({ (1...32).contains($0) }) ?? true else {
                throw refused("cannot have \(bits): 1 to 32 are possible")
            }
            guard option.size >= 0 else { throw refused("has a negative size at \(bits)") }
            guard option.cost.isFinite else {
                throw refused("has the cost \(option.cost) at \(bits): measure it again")
            }
        }
    }

    /// The least cost within a budget in the measure's unit; of equals, the smallest.
    /// - Throws: `CompressionError.budgetTooSmall`, naming the least budget that can be met.
    public func choice(within budget: Int) throws(CompressionError) -> Choice {
        guard let index = front.lastIndex(where: { $0.size <= budget }) else {
            throw .budgetTooSmall(asked: text(budget), smallest: text(front.first?.size ?? 0))
        }
        return choice(at: index)
    }

    /// The least cost with at most so many bits a weight on average. Precondition: the measure is `weightBits`.
    /// - Throws: `CompressionError.budgetTooSmall`, `.valueOutOfRange` for bits that are not above 0.
    public func choice(averageBits: Double) throws(CompressionError) -> Choice {
        precondition(measure == .weightBits, "average bits are counted in bits of weights")
        guard averageBits > 0, averageBits.isFinite else {
            throw .valueOutOfRange("\(averageBits) bits on average are out of range: they must be above 0")
        }
        let weights = layers.reduce(0) { $0 + $1.weights }
        let budget = min(averageBits, 64) * Double(weights)
        guard let index = front.lastIndex(where: { Double($0.size) <= budget }) else {
            let smallest = Double(front.first?.size ?? 0) / Double(max(1, weights))
            // Rounded up, so that what is named can be met.
            let named = (smallest * 1000).rounded(.up) / 1000
            throw .budgetTooSmall(asked: "\(averageBits) bits a weight", smallest: "\(named) bits a weight")
        }
        return choice(at: index)
    }

    /// The bits of a point of the front. Precondition: it is one.
    public func choice(at index: Int) -> Choice {
        let options = program.options(at: index)
        let bits = zip(layers, options).map { $0.options[$1].bits }
        let weights = layers.reduce(0.0) { $0 + Double($1.weights) }
        let total = zip(layers, bits).reduce(0.0) { $0 + Double($1.0.weights) * Double($1.1 ?? 32) }
        return Choice(
            bits: bits, size: front[index].size, cost: front[index].cost,
            averageBits: weights > 0 ? total / weights : 0)
    }

    private func text(_ size: Int) -> String {
        switch measure {
        case .bytes: "\(size) bytes of weights"
        case .weightBits: "\(size) bits of weights"
        case .bitOperations: "\(size) bit operations"
        // Rounded up to a microsecond, so that what is named can be met.
        case .nanoseconds: "\(Double(size / 1000 + (size % 1000 > 0 ? 1 : 0)) / 1000) ms a sample"
        }
    }
}
