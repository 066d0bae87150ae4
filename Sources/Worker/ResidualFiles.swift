import Federation
import Ledger
import Tensors
import UpdateCodec

/// Error feedback on disk (Seide et al. 2014; Karimireddy et al. 2019): what compression left out of the last update is
/// added to this one, and what it leaves out now is written down. Nothing of the model's size is held.
///
/// With momentum this is momentum correction and momentum factor masking of Deep Gradient Compression (Lin et al. 2018,
/// equation 6 and section 3.2), a task's change in a gradient's place: u ← m·u + change, the encoder gets v + u, v becomes
/// what it leaves out, and u ends where something was sent. One file holds both, `momentum:NAME` behind each NAME, so that
/// neither is ever without the other. For the same reason a control variate (`DriftControl`) stands there too, as
/// `control:NAME`, even where nothing is owed, and so do the projectors of feature signals, behind all parameters, under the
/// names that the engine gives them.
struct ResidualFiles {
    /// What of a coded tensor is asked for.
    let parts: CodedParts
    private let owed: SafetensorsFile?
    private let owes: Bool
    private let masks: MaskSet
    /// m; 0 where no momentum is kept.
    private let momentum: Float
    private let writer: BlobWriter?
    private let projectors: NamedTensors
    private var squares = 0.0

    /// L2 norm of the residual that was written.
    var norm: Double { squares.squareRoot() }

    /// - Parameters:
    ///   - owed: the file that the last update that counted left behind.
    ///   - controlled: the parameters whose control variates are kept.
    ///   - projectors: float32, kept as they are.
    init(
        blobs: BlobStore, layout: TensorLayout, masks: MaskSet, scheme: WireScheme, owed: Digest?,
        controlled: [String] = [], projectors: NamedTensors = NamedTensors(), metadata: [String: String] = [:]
    ) throws {
        self.projectors = projectors
        self.masks = masks
        self.owed = try owed.map { try SafetensorsFile(blobs.map($0), path: "residual \($0)") }
        // What loses nothing owes nothing.
        let owes = scheme.errorFeedback && !scheme.isLossless(for: layout, masks: masks)
        self.owes = owes
        momentum = owes ? Float(scheme.momentum) : 0
        parts = !owes ? [] : momentum > 0 ? .all : .residual
        guard owes || !controlled.isEmpty || !projectors.names.isEmpty else {
            writer = nil
            return
        }
        let writer = try blobs.makeWriter(.durable)
        try writer.append(
            Safetensors.header(
                of: Self.entries(
                    layout, owes: owes, withMomentum: momentum > 0, controlled: Set(controlled))
                    + projectors.ordered.map { ($0.name, .float32, $0.tensor.shape) },
                metadata: metadata))
        self.writer = writer
    }

    /// In front of a tensor's name: the name of its momentum.
    static let momentumPrefix = "momentum:"

    private static func momentumName(_ name: String) -> String { momentumPrefix + name }

    private static func entries(
        _ layout: TensorLayout, owes: Bool, withMomentum: Bool, controlled: Set<String>
    ) throws -> [(name: String, elementType: ElementType, shape: Shape)] {
        let names = Set(layout.entries.map(\.name))
        var entries: [(name: String, elementType: ElementType, shape: Shape)] = []
        for entry in layout.entries {
            var kept = owes ? [entry.name] : []
            if withMomentum { kept.append(momentumName(entry.name)) }
            if controlled.contains(entry.name) { kept.append(DriftControl.prefix + entry.name) }
            for name in kept {
                guard name == entry.name || !names.contains(name) else {
                    throw TaskFailure("the model has a tensor '\(name)', the name of what is kept for another")
                }
                entries.append((name, .float32, entry.shape))
            }
        }
        return entries
    }

    /// What the encoder is given for a tensor, and its momentum if any is kept. What is owed to a tensor of another shape
    /// is dropped.
    func input(_ name: String, change: consuming Tensor) throws -> (tensor: Tensor, momentum: Tensor?) {
        guard momentum > 0 else {
            addOwed(name, to: &change)
            return (change, nil)
        }
        try addMomentum(Self.momentumName(name), to: &change)
        change.withMutableElements(as: Float.self) { masks.apply(to: $0, of: name) }
        let moved = copy change
        addOwed(name, to: &change)
        return (change, moved)
    }

    private func addOwed(_ name: String, to tensor: inout Tensor) {
        guard let owed, owed.shape(of: name) == tensor.shape else { return }
        tensor.withMutableElements(as: Float.self) { _ = owed.add(name, from: 0, to: $0) }
    }

    private func addMomentum(_ name: String, to tensor: inout Tensor) throws {
        guard let owed, owed.shape(of: name) == tensor.shape, let old = try owed.tensor(name),
            old.elementType == .float32
        else { return }
        tensor.withMutableElements(as: Float.self) { new in
            old.withElements(as: Float.self) { old in
                for index in new.indices { new[index] += momentum * old[index] }
            }
        }
    }

    /// Writes what the layout's next tensor leaves.
    mutating func write(_ coded: UpdateWriter.Coded, momentum: consuming Tensor?, control: Tensor?) throws {
        try write(coded, momentum: momentum)
        if let control { try writer?.append(control.bytes) }
    }

    private mutating func write(_ coded: UpdateWriter.Coded, momentum: consuming Tensor?) throws {
        guard owes, let writer, let residual = coded.residual else { return }
        squares += residual.withElements(as: Float.self) { $0.sumOfSquares }
        try writer.append(residual.bytes)
        guard var momentum, let decoded = coded.decoded else { return }
        momentum.withMutableElements(as: Float.self) { momentum in
            decoded.withElements(as: Float.self) { sent in
                for index in momentum.indices where sent[index] != 0 { momentum[index] = 0 }
            }
        }
        try writer.append(momentum.bytes)
    }

    /// The new file, or nil when there is nothing to keep.
    func finish() throws -> Digest? {
        for (_, tensor) in projectors.ordered { try writer?.append(tensor.bytes) }
        return try writer?.finish().digest
    }
}
