import Foundation
import Tensors

/// What containers of a scheme will take, from numbers as trained updates have them: an estimate that needs no training.
public enum ExpectedSize {
    /// One tensor of what will be sent.
    public struct Part: Sendable, Hashable, Codable {
        public var elements: Int
        /// Of these, how many a mask has left.
        public var alive: Int
        /// Whether it travels whole and as float32, as running statistics do.
        public var isExact: Bool

        public init(elements: Int, alive: Int? = nil, isExact: Bool = false) {
            (self.elements, self.alive, self.isExact) = (elements, alive ?? elements, isExact)
        }
    }

    /// Numbers of a tensor that are really encoded: what a larger one takes grows with its elements.
    private static let sample = 65_536

    /// Bytes of a container: tensors are filled with noise and encoded, larger ones in part; with a budget, that. Trained updates
    /// lie between normal numbers and Laplace's, so it is the mean of both: four bits dense take 3.5 and 2.9 bits a value.
    /// - Throws: `CodecError` for a scheme that no container can have.
    public static func bytes(of parts: [Part], scheme: WireScheme) throws(CodecError) -> Int {
        var scheme = scheme
        let budget = scheme.budget
        if budget != nil {
            // All that there is, if the budget has room for it.
            (scheme.budget, scheme.selection, scheme.values, scheme.smallValues) = (nil, .dense, .float32, .float32)
        }
        var sum = 0
        for distribution in WeightDistribution.allCases { sum += try bytes(of: parts, scheme, distribution) }
        let mean = sum / WeightDistribution.allCases.count
        return min(mean, budget ?? mean)
    }

    private static func bytes(
        of parts: [Part], _ scheme: WireScheme, _ distribution: WeightDistribution
    ) throws(CodecError) -> Int {
        let limit = max(sample, scheme.smallTensorElements + 1)
        let small = parts.filter { $0.alive <= limit }
        let empty = try encoded([], scheme, distribution)
        var total = try encoded(small, scheme, distribution)
        var sizes: [Part: Double] = [:]
        for part in parts where part.alive > limit {
            let piece = Part(elements: limit, isExact: part.isExact)
            if sizes[piece] == nil { sizes[piece] = Double(try encoded([piece], scheme, distribution) - empty) }
            let bytes = sizes[piece] ?? 0
            total += Int((bytes * Double(part.alive) / Double(limit)).rounded())
        }
        return total
    }

    private static func encoded(
        _ parts: [Part], _ scheme: WireScheme, _ distribution: WeightDistribution
    ) throws(CodecError) -> Int {
        var tensors: [Tensor] = []
        for (index, part) in parts.enumerated() where part.alive > 0 {
            tensors.append(
                BenchmarkWeights.make(try BenchmarkWeights.shape(part.alive), distribution, seed: UInt64(index)))
        }
        let kept = parts.filter { $0.alive > 0 }
        let named = NamedTensors(tensors.enumerated().map { ("t\($0)", $1) })
        var writer = try UpdateWriter(
            layout: TensorLayout(named), header: BenchmarkWeights.header(maskEpoch: 0), scheme: scheme,
            exact: Set(kept.indices.filter { kept[$0].isExact }.map { "t\($0)" }))
        for tensor in tensors { _ = try writer.append(tensor, keeping: []) }
        return writer.finish().bytes.count
    }

    /// Bytes of a change of masks alone: what it takes at least to say which of the alive elements die.
    public static func bytes(ofMasksFrom before: [Part], to after: [Part]) -> Int {
        let bits = zip(before, after).reduce(0.0) { sum, parts in
            let (old, new) = (Double(parts.0.alive), Double(parts.1.alive))
            guard old > 0, new < old else { return sum }
            return sum + old * entropy(new / old)
        }
        // A container's header, and a record's for each tensor.
        return 64 + 12 * after.count + Int((bits / 8).rounded(.up))
    }

    /// Of a yes that has this probability, in bits.
    private static func entropy(_ share: Double) -> Double {
        guard share > 0, share < 1 else { return 0 }
        return -share * log2(share) - (1 - share) * log2(1 - share)
    }
}
