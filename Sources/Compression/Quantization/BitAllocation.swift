import Tensors

/// Bits for each layer: the least Σ cost within a budget (METHODS "Quantization", mixed precision per layer). A multiple-choice
/// knapsack (Sinha and Zoltners 1979), solved exactly by a dynamic program over layers that keeps only choices which no other
/// choice beats in both size and cost; what is left at the end is the whole Pareto front.
///
/// Where more than `stateLimit` choices are left, what layers take beyond their smallest is rounded up to a grid: answers are
/// still within the budget, but may cost more than the best, and `isExact` says so.
public struct BitAllocation: Sendable, Equatable {
    /// What is limited.
    public enum Measure: Sendable, Equatable {
        /// Of the weights' codes, each layer in whole bytes.
        case bytes
        /// Bits of the codes of all weights.
        case weightBits
        /// Multiply-accumulates x bits of weights x bits of activations (BOPs; Baskin et al. 2021, "UNIQ", section 4).
        case bitOperations(activationBits: Int)
    }

    public struct Layer: Sendable, Equatable {
        public let name: String
        public let weights: Int
        /// Multiply-accumulates of one sample.
        public let macs: Int
        /// The bits to choose from, with what each costs: any measure that adds up, such as a loss's increase.
        public let options: [Option]

        public init(name: String, weights: Int, macs: Int = 0, options: [Option]) {
            (self.name, self.weights, self.macs, self.options) = (name, weights, macs, options)
        }
    }

    public struct Option: Sendable, Equatable {
        public let bits: Int
        public let cost: Double

        public init(bits: Int, cost: Double) { (self.bits, self.cost) = (bits, cost) }
    }

    public struct Point: Sendable, Equatable {
        /// In the measure's unit.
        public let size: Int
        public let cost: Double
    }

    public struct Choice: Sendable, Equatable {
        /// In the layers' order.
        public let bits: [Int]
        /// In the measure's unit.
        public let size: Int
        public let cost: Double
        /// Bits of a weight, on average; 0 where there are no weights.
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

    /// - Parameter stateLimit: choices that are kept, at least 2.
    /// - Throws: `CompressionError.valueOutOfRange` for a layer without options, bits that are not 1 to 32, sizes that are negative
    ///   or cannot be counted, and costs that are not finite.
    public init(
        _ layers: [Layer], measure: Measure, stateLimit: Int = BitAllocation.stateLimit
    ) throws(CompressionError) {
        precondition(stateLimit >= 2, "\(stateLimit) choices cannot be chosen from")
        var sizes: [[Int]] = []
        var total = 0
        for layer in layers {
            let found = try Self.sizes(of: layer, measure)
            sizes.append(found)
            // A whole eighth below the limit, as whole bytes divide what may have stopped there.
            let largest = found.max() ?? 0
            total = saturatingSum([total, largest >= .max / 8 ? .max : largest])
        }
        guard total < .max else {
            throw .valueOutOfRange("the layers' sizes cannot be counted: they have too many weights")
        }
        let program = AllocationProgram(
            sizes: sizes, costs: layers.map { $0.options.map(\.cost) }, stateLimit: stateLimit)
        (self.layers, self.measure, self.program) = (layers, measure, program)
        front = program.front.map { Point(size: $0.size, cost: $0.cost) }
        isExact = program.isExact
    }

    private static func sizes(of layer: Layer, _ measure: Measure) throws(CompressionError) -> [Int] {
        func refused(_ reason: String) -> CompressionError { .valueOutOfRange("layer '\(layer.name)' \(reason)") }
        guard (1...64).contains(layer.options.count) else { throw refused("needs 1 to 64 bit widths to choose from") }
        guard layer.weights >= 0, layer.macs >= 0 else { throw refused("has a negative size") }
        var result: [Int] = []
        for option in layer.options {
            let bits = option.bits
            guard (1...32).contains(bits) else { throw refused("cannot have \(bits) bits: 1 to 32 are possible") }
            guard option.cost.isFinite else {
                throw refused("has the cost \(option.cost) at \(bits) bits: measure it again")
            }
            switch measure {
            case .bytes:
                let total = saturatingProduct([layer.weights, bits])
                result.append(total / 8 + (total.isMultiple(of: 8) ? 0 : 1))
            case .weightBits: result.append(saturatingProduct([layer.weights, bits]))
            case .bitOperations(let activationBits):
                guard (1...32).contains(activationBits) else {
                    throw refused("cannot read activations of \(activationBits) bits: 1 to 32 are possible")
                }
                result.append(saturatingProduct([layer.macs, bits, activationBits]))
            }
        }
        return result
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
        let total = zip(layers, bits).reduce(0.0) { $0 + Double($1.0.weights) * Double($1.1) }
        return Choice(
            bits: bits, size: front[index].size, cost: front[index].cost,
            averageBits: weights > 0 ? total / weights : 0)
    }

    private func text(_ size: Int) -> String {
        switch measure {
        case .bytes: "\(size) bytes of weights"
        case .weightBits: "\(size) bits of weights"
        case .bitOperations: "\(size) bit operations"
        }
    }
}
