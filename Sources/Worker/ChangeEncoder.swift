import Federation
import Ledger
import Tensors
import UpdateCodec

/// Compresses what training changed, tensor by tensor, and keeps what compression left out.
///
/// Each pass makes the same tensors anew, so nothing of the model's size is held: one for the norm where a change is
/// clipped, one for the survey where bytes are limited, and the one that encodes.
struct ChangeEncoder {
    struct Encoded {
        var bytes: [UInt8]
        var density: Double
        var bitsPerWeight: Double
        /// What the next update adds, and its L2 norm without the momentum; nil when nothing is owed.
        var residual: (digest: Digest, norm: Double)?
    }

    let blobs: BlobStore
    let scheme: WireScheme
    let seed: UInt64
    var threads = 1
    /// They travel exactly, and are neither clipped nor kept moving.
    var statistics = ModelStatistics()

    /// - Parameters:
    ///   - snapshot: what was trained, under its digest.
    ///   - owed: the residual that the last accepted update left.
    ///   - control: what this task's control variates follow from, if they are kept.
    ///   - projectors: of feature signals, as training left them.
    ///   - metadata: of what is owed then: `ResidualAdaptation.metadata`.
    func encode(
        _ trained: consuming some TrainedParameters, since snapshot: Snapshot, digest: Digest, owed: Digest?,
        control: DriftControl? = nil, projectors: NamedTensors = NamedTensors(), metadata: [String: String] = [:]
    ) throws -> Encoded {
        var changes = try Changes(trained, since: snapshot, statistics: statistics, control: control)
        if let limit = scheme.clipNorm { try changes.clip(to: limit) }
        var rest = try ResidualFiles(
            blobs: blobs, layout: snapshot.layout, masks: snapshot.masks, scheme: scheme, owed: owed,
            controlled: control == nil
                ? [] : snapshot.parameters.names.filter { !statistics.names.contains($0) },
            projectors: projectors, metadata: metadata)
        var survey: UpdateSurvey?
        if scheme.budget != nil {
            survey = UpdateSurvey(layout: snapshot.layout, masks: snapshot.masks)
            try changes.visit { name, change, _ in try survey?.add(rest.input(name, change: change).tensor) }
        }
        var writer = try UpdateWriter(
            layout: snapshot.layout,
            header: UpdateHeader(kind: .update, base: digest.bytes, maskEpoch: snapshot.masks.epoch), scheme: scheme,
            masks: snapshot.masks, seed: seed, threads: threads, survey: survey, exact: statistics.names)
        try changes.visit(isLast: true) { name, change, control in
            let (tensor, momentum) = try rest.input(name, change: change)
            let coded = try writer.append(consume tensor, keeping: rest.parts)
            try rest.write(coded, momentum: momentum, control: control)
        }
        let residual = try rest.finish().map { ($0, rest.norm) }
        let (bytes, density, bitsPerWeight) = writer.finish()
        return Encoded(bytes: bytes, density: density, bitsPerWeight: bitsPerWeight, residual: residual)
    }
}

/// Parameters after training minus those before, in the layout's order.
private struct Changes<Trained: TrainedParameters> {
    private var trained: Trained
    private let snapshot: Snapshot
    private let statistics: ModelStatistics
    private let control: DriftControl?
    /// By variance: what its mean moved by.
    private var meanChanges: [String: Tensor] = [:]
    /// What clipping leaves of it.
    private var share: Float = 1

    init(
        _ trained: consuming Trained, since snapshot: Snapshot, statistics: ModelStatistics, control: DriftControl?
    ) throws {
        for (name, _) in snapshot.parameters.ordered {
            guard let mean = statistics.mean(of: name), let before = snapshot.parameters[mean],
                var after = trained.peek(mean), after.elementCount == before.elementCount
            else { continue }
            if after.shape != before.shape { after = try after.reshaped(to: before.shape) }
            after.subtract(before)
            meanChanges[name] = after
        }
        self.trained = trained
        self.snapshot = snapshot
        self.statistics = statistics
        self.control = control
    }

    /// - Parameter body: also gets the parameter's next control variate, in the last pass.
    mutating func visit(
        isLast: Bool = false, _ body: (_ name: String, _ change: consuming Tensor, _ control: Tensor?) throws -> Void
    ) throws {
        trained.beginPass(isLast: isLast)
        for (name, before) in snapshot.parameters.ordered {
            var change = try trained.next(name, before: before)
            guard change.elementCount == before.elementCount else {
                throw TaskFailure("training changed the shape of '\(name)'")
            }
            if change.shape != before.shape { change = try change.reshaped(to: before.shape) }
            change.subtract(before)
            guard !statistics.names.contains(name) else {
                if let meanChange = meanChanges[name] { ModelStatistics.spread(&change, meanChange: meanChange) }
                try body(name, change, nil)
                continue
            }
            let next = isLast ? try control?.next(name, change: change) : nil
            if share != 1 {
                change.withMutableElements(as: Float.self) { for index in $0.indices { $0[index] *= share } }
            }
            try body(name, change, next)
        }
    }

    /// Local gradient clipping (Lin et al. 2018, section 3.2): scales a change of a larger L2 norm over all trainable tensors
    /// down to `limit`.
    mutating func clip(to limit: Double) throws {
        var squares = 0.0
        let statistics = statistics.names
        try visit { name, change, _ in
            if !statistics.contains(name) { squares += change.withElements(as: Float.self) { $0.sumOfSquares } }
        }
        let norm = squares.squareRoot()
        if norm > limit { share = Float(limit / norm) }
    }
}
