import Tensors

/// A snapshot explained from its file: what it is made of and how large its weights are.
public struct SnapshotDescription: Sendable, Equatable, Codable {
    /// One parameter.
    public struct TensorDescription: Sendable, Equatable, Codable {
        public let name: String
        public let shape: [Int]
        public let elements: Int
        /// Elements that the mask keeps: all where there is no mask.
        public let alive: Int
        public let masked: Bool
        /// L2 norm and largest magnitude of the finite elements.
        public let norm: Double
        public let largestMagnitude: Float
        /// Elements that are 0, dead ones included.
        public let zeros: Int
        /// Infinities and NaNs, of which a sound snapshot has none.
        public let notFinite: Int
    }

    /// Hexadecimal digest of the graph.
    public let graph: String
    public let maskEpoch: UInt32
    public let parameters: Int
    public let alive: Int
    /// L2 norm over all parameters.
    public let norm: Double
    public let tensors: [TensorDescription]

    /// Walks through the parameters; no more than a piece of one is in memory.
    /// - Throws: `TensorError`, as `SnapshotFile`.
    public init(describing file: SnapshotFile) throws(TensorError) {
        let names = Set(file.layout.entries.map(\.name))
        var tensors: [TensorDescription] = []
        for entry in file.tensors.entries where names.contains(entry.name) {
            let statistics = try file.tensors.statistics(of: entry)
            let mask = file.masks[entry.name]
            tensors.append(
                TensorDescription(
                    name: entry.name, shape: entry.shape.dimensions, elements: entry.shape.elementCount,
                    alive: mask?.populationCount ?? entry.shape.elementCount, masked: mask != nil,
                    norm: statistics.norm, largestMagnitude: statistics.largestMagnitude, zeros: statistics.zeros,
                    notFinite: statistics.notFinite))
        }
        graph = file.graph.hex
        maskEpoch = file.masks.epoch
        parameters = tensors.reduce(0) { $0 + $1.elements }
        alive = tensors.reduce(0) { $0 + $1.alive }
        norm = tensors.reduce(0) { $0 + $1.norm * $1.norm }.squareRoot()
        self.tensors = tensors
    }
}
