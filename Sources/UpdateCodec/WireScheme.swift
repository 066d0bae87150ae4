/// Which elements of a tensor an update carries.
public enum Selection: Sendable, Hashable {
    /// Every alive element; under a mask the positions cost nothing.
    case dense
    /// The share `density` (0 < density <= 1) of alive elements that are largest in magnitude, per tensor.
    case topK(density: Double)
}

/// How one carried value is written. Raw values are on the wire; never renumber them.
public enum ValueFormat: UInt8, Sendable, Hashable, CaseIterable {
    case float32 = 0
    case float16 = 1
    case int8 = 2
    case int4 = 3
    /// −1, 0 or +1 times one magnitude per block (the mean of the kept magnitudes).
    case ternary = 4
}

public enum Rounding: UInt8, Sendable, Hashable, CaseIterable {
    case nearest = 0
    /// Unbiased, from a seed.
    case stochastic = 1
}

/// How tensors become bytes: one direction's wire rule.
public struct WireScheme: Sendable, Hashable {
    public var selection: Selection
    public var values: ValueFormat
    /// Values that share one scale.
    public var blockSize: Int
    public var rounding: Rounding
    /// Tensors with at most this many alive elements (biases, norms) are sent dense, as `smallValues`.
    public var smallTensorElements: Int
    public var smallValues: ValueFormat
    /// Whether what compression leaves out is kept and added to the next update.
    public var errorFeedback: Bool

    public init(
        selection: Selection = .dense, values: ValueFormat = .int8, blockSize: Int = 256, rounding: Rounding = .nearest,
        smallTensorElements: Int = 1024, smallValues: ValueFormat = .float16, errorFeedback: Bool = true
    ) {
        self.selection = selection
        self.values = values
        self.blockSize = blockSize
        self.rounding = rounding
        self.smallTensorElements = smallTensorElements
        self.smallValues = smallValues
        self.errorFeedback = errorFeedback
    }
}
