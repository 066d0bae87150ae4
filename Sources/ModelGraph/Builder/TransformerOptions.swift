/// What may be chosen for the bundled `transformer` besides input, classes and width.
public struct TransformerOptions: Sendable, Equatable {
    /// Where a block normalises.
    public enum Normalization: String, Sendable, Equatable, CaseIterable {
        /// In front of attention and feed-forward layer, and once at the end (GPT-2, ViT).
        case pre
        /// Behind each sum (Vaswani et al. 2017, BERT).
        case post
    }

    /// How a sequence becomes one vector.
    public enum Pooling: String, Sendable, Equatable, CaseIterable {
        /// The mean over all positions.
        case mean
        /// The vector of the first token, which the data reserves for this (BERT's [CLS]).
        case cls
    }

    /// Blocks, 1 to 64.
    public var depth: Int
    /// Attention heads, a divisor of the width.
    public var heads: Int
    public var normalization: Normalization
    public var pooling: Pooling

    public init(depth: Int = 2, heads: Int = 4, normalization: Normalization = .pre, pooling: Pooling = .mean) {
        self.depth = depth
        self.heads = heads
        self.normalization = normalization
        self.pooling = pooling
    }
}
