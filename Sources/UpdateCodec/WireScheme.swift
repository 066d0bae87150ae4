/// How the elements that travel are found among a tensor's alive ones.
public enum SelectionMethod: UInt8, Sendable, Hashable, CaseIterable {
    /// Exactly the largest magnitudes of the tensor.
    case exact = 0
    /// All magnitudes above a threshold taken from a sample, so about as many as asked for.
    case threshold = 1
    /// The largest of each block of 4,096, as many in each.
    case block = 2
}

/// Which elements of a tensor an update carries.
public enum Selection: Sendable, Hashable {
    /// Every alive element; under a mask the positions cost nothing.
    case dense
    /// The share `density` (0 < density <= 1) of alive elements that are largest in magnitude, per tensor.
    case topK(density: Double, method: SelectionMethod = .exact)
}

/// How one carried value is written. Raw values are on the wire; never renumber them.
public enum ValueFormat: UInt8, Sendable, Hashable, CaseIterable {
    case float32 = 0
    case float16 = 1
    case bfloat16 = 2
    case int8 = 3
    case int6 = 4
    case int4 = 5
    case int3 = 6
    /// Four levels, ±½ and ±1½ steps: none of the codes is wasted on a zero.
    case int2 = 7
    /// −1, 0 or +1 times one magnitude per block (the mean of the kept magnitudes).
    case ternary = 8
    /// −1 or +1 times one magnitude per block.
    case sign = 9
    /// 16 levels between −1 and 1 times the largest magnitude of the block.
    case codebook16 = 10
    /// 256 such levels.
    case codebook256 = 11
}

public enum Rounding: UInt8, Sendable, Hashable, CaseIterable {
    case nearest = 0
    /// Unbiased, from a seed: integer formats, codebooks and signs. Other formats round to nearest.
    case stochastic = 1
}

/// What the step between two integer codes is made of.
public enum Scaling: UInt8, Sendable, Hashable, CaseIterable {
    /// Least squares for three bits and fewer with rounding to nearest, else the largest magnitude.
    case automatic = 0
    /// The largest magnitude of the block is the largest code: nothing is clipped.
    case largest = 1
    /// The scale of least squared error among several: outliers are clipped.
    case leastSquares = 2
}

/// Where the levels of a codebook come from.
public enum CodebookLevels: UInt8, Sendable, Hashable, CaseIterable {
    /// Quantiles of the normal distribution (Dettmers et al. 2023, "QLoRA", section 3).
    case normalFloat = 0
    /// Fitted to each tensor by Lloyd's algorithm (Lloyd 1982).
    case kMeans = 1
}

/// What packing of codes and positions may cost.
public enum Coding: UInt8, Sendable, Hashable, CaseIterable {
    /// The smallest, but int8 and int6 are Rice-coded only where that saves an eighth: plain ones read several times faster.
    case automatic = 0
    case smallest = 1
    /// Neither values nor positions are Rice-coded.
    case plain = 2
}

/// How tensors become bytes: one direction's wire rule.
public struct WireScheme: Sendable, Hashable {
    public var selection: Selection
    public var values: ValueFormat
    /// Values that share one scale.
    public var blockSize: Int
    public var rounding: Rounding
    public var scaling: Scaling
    public var levels: CodebookLevels
    public var coding: Coding
    /// Whether values of 1 to 4 bits are rotated by a random Hadamard matrix first (Vargaftik et al. 2021, "DRIVE"; 2022,
    /// "EDEN"). Other formats are not.
    public var rotates: Bool
    /// Tensors with at most this many alive elements (biases, norms) are sent dense, as `smallValues`.
    public var smallTensorElements: Int
    public var smallValues: ValueFormat
    /// Whether what compression leaves out is kept and added to the next update.
    public var errorFeedback: Bool
    /// Bytes a container may take; density and format of each tensor are then chosen by least squared error, and
    /// `selection`, `values` and `smallValues` do not count. nil for no limit.
    public var budget: Int?
    /// Momentum correction of Deep Gradient Compression (Lin et al. 2018, equation 6): what was not sent keeps moving in the
    /// direction of earlier updates. 0 for none.
    public var momentum: Double
    /// Local gradient clipping of the same paper (section 3.2): an update of a larger L2 norm is scaled down to this one
    /// before what is owed is added to it. nil for no limit.
    public var clipNorm: Double?

    public init(
        selection: Selection = .dense, values: ValueFormat = .int8, blockSize: Int = 256, rounding: Rounding = .nearest,
        scaling: Scaling = .automatic, levels: CodebookLevels = .normalFloat, coding: Coding = .automatic,
        rotates: Bool = false, smallTensorElements: Int = 1024, smallValues: ValueFormat = .float16,
        errorFeedback: Bool = true, budget: Int? = nil, momentum: Double = 0, clipNorm: Double? = nil
    ) {
        self.selection = selection
        self.values = values
        self.blockSize = blockSize
        self.rounding = rounding
        self.scaling = scaling
        self.levels = levels
        self.coding = coding
        self.rotates = rotates
        self.smallTensorElements = smallTensorElements
        self.smallValues = smallValues
        self.errorFeedback = errorFeedback
        self.budget = budget
        self.momentum = momentum
        self.clipNorm = clipNorm
    }
}

extension WireScheme {
    /// Whether outliers of a format may be clipped: never with stochastic rounding, which would not be unbiased then.
    func clips(_ format: ValueFormat) -> Bool {
        guard format.isInteger, rounding == .nearest else { return false }
        return scaling == .leastSquares || scaling == .automatic && format.bitCount <= 3
    }
}
