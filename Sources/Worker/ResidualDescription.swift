import Engine
import Tensors

/// A residual explained from its file (`ResidualFiles`; the coordinator's, for its downlink, has the same form).
public struct ResidualDescription: Sendable, Equatable, Codable {
    /// What is owed to one tensor, or its momentum.
    public struct TensorDescription: Sendable, Equatable, Codable {
        /// The parameter's name, for a momentum and a control variate too.
        public let name: String
        /// Whether this is the parameter's momentum rather than what is owed to it.
        public let momentum: Bool
        /// Whether this is the parameter's control variate.
        public let control: Bool
        /// Whether this is a projector of a feature signal.
        public let projector: Bool
        public let shape: [Int]
        /// L2 norm and largest magnitude of the finite elements.
        public let norm: Double
        public let largestMagnitude: Float
        public let zeros: Int
        /// Infinities and NaNs, of which a sound residual has none.
        public let notFinite: Int
    }

    /// L2 norm over all that is owed, momentum and control variates and projectors aside.
    public let norm: Double
    public let tensors: [TensorDescription]

    /// Walks through the tensors; no more than a piece of one is in memory.
    /// - Throws: `TensorError.wrongElementType` for a tensor that is not float32.
    public init(describing file: SafetensorsFile) throws(TensorError) {
        let names = Set(file.entries.map(\.name))
        var tensors: [TensorDescription] = []
        for entry in file.entries {
            let statistics = try file.statistics(of: entry)
            let momentumOwner = Self.owner(of: entry.name, after: ResidualFiles.momentumPrefix, among: names)
            // Where nothing is owed, a control variate stands alone.
            let controlOwner =
                entry.name.hasPrefix(DriftControl.prefix)
                ? String(entry.name.dropFirst(DriftControl.prefix.count)) : nil
            let isProjector = entry.name.hasPrefix(FeaturePair.projectorPrefix)
            tensors.append(
                TensorDescription(
                    name: momentumOwner ?? controlOwner ?? entry.name, momentum: momentumOwner != nil,
                    control: controlOwner != nil, projector: isProjector, shape: entry.shape.dimensions,
                    norm: statistics.norm, largestMagnitude: statistics.largestMagnitude, zeros: statistics.zeros,
                    notFinite: statistics.notFinite))
        }
        norm = tensors.reduce(0) { $0 + ($1.momentum || $1.control || $1.projector ? 0 : $1.norm * $1.norm) }
            .squareRoot()
        self.tensors = tensors
    }

    /// Whose a tensor is, by its prefix. One whose name merely begins that way is a parameter's own.
    private static func owner(of name: String, after prefix: String, among names: Set<String>) -> String? {
        guard name.hasPrefix(prefix) else { return nil }
        let owner = String(name.dropFirst(prefix.count))
        return names.contains(owner) ? owner : nil
    }
}
