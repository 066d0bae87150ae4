import Foundation

/// The closing figures of a run, as `out/report.json` holds them. Fractions are 0 to 1, sizes bytes, times seconds; what
/// was not measured is null, never missing.
public struct Report: Sendable, Equatable, Codable {
    /// The same figures for one stage.
    public struct Stage: Sendable, Equatable, Codable {
        public var kind: String
        public var accuracyBefore: Double?
        public var accuracyAfter: Double?
        public var bytesBefore: Int
        public var bytesAfter: Int
        public var sparsity: Double
        public var wireBytesUp: Int
        public var wireBytesDown: Int
        public var wireBytesFloat32: Int
        public var rounds: Int
        public var seconds: Double

        public init(
            kind: String, accuracyBefore: Double?, accuracyAfter: Double?, bytesBefore: Int, bytesAfter: Int,
            sparsity: Double, wireBytesUp: Int, wireBytesDown: Int, wireBytesFloat32: Int, rounds: Int, seconds: Double
        ) {
            self.kind = kind
            self.accuracyBefore = accuracyBefore
            self.accuracyAfter = accuracyAfter
            self.bytesBefore = bytesBefore
            self.bytesAfter = bytesAfter
            self.sparsity = sparsity
            self.wireBytesUp = wireBytesUp
            self.wireBytesDown = wireBytesDown
            self.wireBytesFloat32 = wireBytesFloat32
            self.rounds = rounds
            self.seconds = seconds
        }
    }

    public var run: String
    public var plan: String
    public var accuracyBefore: Double?
    public var accuracyAfter: Double?
    /// The float32 ONNX file the run began with.
    public var bytesBefore: Int
    /// The exported file.
    public var bytesAfter: Int
    /// Share of prunable weights that are masked.
    public var sparsity: Double
    public var wireBytesUp: Int
    public var wireBytesDown: Int
    /// What averaging float32 weights would have moved in the same rounds, both directions.
    public var wireBytesFloat32: Int
    public var rounds: Int
    public var seconds: Double
    /// Contributions that were refused.
    public var refused: Int
    public var stages: [Stage]

    public init(
        run: String, plan: String, accuracyBefore: Double?, accuracyAfter: Double?, bytesBefore: Int, bytesAfter: Int,
        sparsity: Double, wireBytesUp: Int, wireBytesDown: Int, wireBytesFloat32: Int, rounds: Int, seconds: Double,
        refused: Int, stages: [Stage]
    ) {
        self.run = run
        self.plan = plan
        self.accuracyBefore = accuracyBefore
        self.accuracyAfter = accuracyAfter
        self.bytesBefore = bytesBefore
        self.bytesAfter = bytesAfter
        self.sparsity = sparsity
        self.wireBytesUp = wireBytesUp
        self.wireBytesDown = wireBytesDown
        self.wireBytesFloat32 = wireBytesFloat32
        self.rounds = rounds
        self.seconds = seconds
        self.refused = refused
        self.stages = stages
    }
}
